"""A learning curve in small says at every moment what the whole one says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scoring.records import Curve, Evaluation, compact, from_json, to_json
from tests.scoring.build import record


def evaluations(*values: float | None) -> list[Evaluation]:
    return [
        Evaluation(step=10 * n, examples=320 * n, time_s=1.5 * n, value=value, train_loss=None)
        for n, value in enumerate(values, 1)
    ]


def test_it_keeps_improvements_what_is_before_them_and_the_end() -> None:
    curve = Curve.of(evaluations(0.1, 0.3, 0.2, 0.25, 0.4, 0.4, 0.3), higher_is_better=True)
    assert curve.table().tolist() == [
        [10, 320, 1.5, 0.1],
        [20, 640, 3.0, 0.3],
        [40, 1280, 6.0, 0.3],
        [50, 1600, 7.5, 0.4],
        [70, 2240, 10.5, 0.4],
    ]


def test_lower_may_be_better_and_values_may_be_missing() -> None:
    curve = Curve.of(evaluations(None, 2.0, None, 1.0), higher_is_better=False)
    assert curve.columns() == [[20, 30, 40], [640, 960, 1280], [3.0, 4.5, 6.0], [2.0, 2.0, 1.0]]
    never = Curve.of(evaluations(None, None), higher_is_better=False)
    assert never.columns() == [[20], [640], [3.0], [None]]
    assert never == Curve.of(evaluations(None, None), higher_is_better=False)
    assert len(Curve.of([], higher_is_better=True)) == 0


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_between_evaluations_it_is_the_whole_running_best(higher_is_better: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        made = evaluations(*rng.normal(size=rng.integers(1, 30)).round(1).tolist())
        best = np.maximum.accumulate if higher_is_better else np.minimum.accumulate
        whole = best([each.value for each in made])
        table = Curve.of(made, higher_is_better=higher_is_better).table()
        at = np.linspace(10, 10 * len(made), 101)
        steps = [each.step for each in made]
        assert np.allclose(np.interp(at, table[:, 0], table[:, 3]), np.interp(at, steps, whole))


def test_an_archive_keeps_it_to_six_digits() -> None:
    made = record(points=[(10, 1.23456789, 0.123456789), (20, 2.0, 0.9512345678)])
    short = compact(made)
    assert from_json(to_json(short)) == short
    assert short.curve is not None
    assert short.curve.columns() == [[10, 20], [320, 640], [1.2346, 2.0], [0.123457, 0.9512345678]]
    assert compact(short) == short
    assert short.learning_curve() is short.curve


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="4 lists"):
        Curve.of_columns([[1.0], [1.0], [1.0], []])
    assert math.isnan(Curve.of_columns([[1], [1], [1], [None]]).table()[0, 3])

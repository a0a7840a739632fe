"""Small boards drawn from many studies: simulated ones, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.ladder import Ladder
from scoring.validity import Share, all_sizes, validity


def ladder(logs: np.ndarray) -> Ladder:
    studies = tuple((0, k) for k in range(logs.shape[-1]))
    return Ladder(
        studies=studies,
        on=dict.fromkeys(("time", "steps", "examples"), logs),
        step_time=logs,
        reached=logs,
        levels={},
        reference=0,
    )


def simulated(studies: int = 60) -> np.ndarray:
    """Four submissions, four workloads; what is common to a study is as large as what is not."""
    rng = np.random.default_rng(0)
    noise = np.array([0.15, 0.12, 0.055, 0.055])[:, None]
    common = rng.normal(size=(1, 4, studies)) * noise
    return rng.normal(size=(4, 4, studies)) * noise + common + np.array([0.0, 0.05, 0.1, 0.4])[:, None, None]


def test_intervals_hold_and_copies_are_level() -> None:
    found = validity(ladder(simulated()), "time", 3, draws=800)
    assert (found.studies, found.of_studies) == (3, 60)
    assert 0.92 <= found.coverage.value <= 0.98
    assert found.false_alarms.value <= 0.06


def test_a_wrong_interval_is_found_out() -> None:
    """Studies of two kinds, far apart: three of one kind have an interval that leaves out the mean of all."""
    of_two_kinds = np.where(np.arange(4)[:, None, None] == 0, np.arange(60) >= 30, 0.0)
    made = of_two_kinds + np.random.default_rng(0).normal(0, 1e-3, (4, 4, 60))
    assert validity(ladder(made), "time", 3, draws=300).coverage.value < 0.93


def test_too_few_studies_are_refused_or_left_out() -> None:
    made = ladder(simulated(8))
    with pytest.raises(ValueError, match="8 studies are complete, expected 10"):
        validity(made, "steps", 5)
    assert [each.studies for each in all_sizes(made, "steps")] == [3]


def test_incomplete_studies_do_not_count() -> None:
    logs = simulated(10)
    logs[1, 2, 4] = np.nan
    assert validity(ladder(logs), "time", 3, draws=50).of_studies == 9


def test_a_share_has_its_interval() -> None:
    share = Share(count=95, of=100)
    low, high = share.interval()
    assert share.value == 0.95
    assert (low, high) == (pytest.approx(0.887, abs=0.001), pytest.approx(0.984, abs=0.001))

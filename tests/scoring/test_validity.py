"""Small boards drawn from many studies: simulated ones, whose truth is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from scoring.ladder import Ladder
from scoring.records import RecordStore
from scoring.records.curve import Curve
from scoring.validity import Share, all_sizes, foretold, shorter_horizons, validity
from scoring.validity.foretell import SHARES, Runs
from scoring.validity.intervals import complete
from tests.scoring.build import record


def ladder(logs: np.ndarray) -> Ladder:
    studies = tuple((0, k) for k in range(logs.shape[-1]))
    return Ladder(
        studies=studies,
        on=dict.fromkeys(("time", "steps", "examples"), logs),
        step_time=logs,
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


def test_who_has_few_studies_does_not_make_them_few() -> None:
    logs = simulated(20)
    logs[3, :, 5:] = np.nan
    kept, rows = complete(ladder(logs), "time")
    assert (kept.shape, rows) == ((3, 4, 20), (0, 1, 2))


def curve(pace: float, late: float = 1.0) -> Curve:
    """A value that rises by 0.001 a step, `pace` times as fast, and `late` times that from 0.5 on."""
    values, best = [], 0.0
    for step in range(50, 1050, 50):
        best += 0.05 * pace * (late if best > 0.499 else 1.0)
        values.append((step, step, step / 10, best))
    return Curve.of_columns([list(column) for column in zip(*values, strict=True)])


def test_levels_foretell_the_target_where_curves_are_alike() -> None:
    runs = Runs(
        reference=[curve(1.0)], others=[curve(p) for p in (0.95, 1.25, 2.0)], target=0.9, higher_is_better=True
    )
    rows = foretold([runs])
    assert [row.share for row in rows] == [*SHARES, None]
    assert {row.pairs for row in rows} == {3}
    for row in rows:
        assert row.bias == pytest.approx(0.0, abs=0.01)
        assert row.correlation == pytest.approx(1.0, abs=1e-3)


def test_levels_say_little_of_who_speeds_up_later() -> None:
    """All are level at half the way and apart at the target, after 1000, 500 + 400 and 500 + 250 steps."""
    runs = Runs(
        reference=[curve(1.0)],
        others=[curve(1.0), curve(1.0, 1.25), curve(1.0, 2.0)],
        target=1.0,
        higher_is_better=True,
    )
    rows = {row.share: row for row in foretold([runs])}
    at_target = np.log([1.0, 1000 / 900, 1000 / 750])
    assert rows[0.3].bias == pytest.approx(-at_target.mean(), abs=0.01)
    assert rows[0.3].error == pytest.approx(at_target.std(ddof=1), abs=0.01)
    assert abs(rows[0.9].bias) < abs(rows[0.3].bias)


def test_without_hits_nothing_is_foretold() -> None:
    runs = Runs(reference=[curve(1.0)], others=[curve(0.2)], target=0.9, higher_is_better=True)
    with pytest.raises(ValueError, match="0 trials reach a target"):
        foretold([runs])


def test_a_shorter_schedule_is_sooner_at_its_own_end() -> None:
    """At half the horizon it comes in 500 steps to what the whole schedule has after 800."""
    whole = record("nadamw", "a", points=[(s, s / 10, s / 1000) for s in range(100, 1001, 100)], target=None)
    half = record("nadamw", "a", points=[(s, s / 10, 1.6 * s / 1000) for s in range(100, 501, 100)], target=None)
    (found,) = shorter_horizons([whole], {0.5: [half], 1.0: [whole]})
    assert (found.workload, found.horizon, found.studies) == ("a", 0.5, 1)
    assert found.sooner == pytest.approx(1.6)
    assert 1.0 < found.ladder < 1.6


def test_the_verb_needs_studies_and_says_all_that_they_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    kept = [
        record(name, workload, pace * float(np.exp(0.05 * draw.normal())), study=study)
        for name, pace in (("nadamw", 10.0), ("adam", 8.0), ("sgd", 20.0))
        for workload in ("a", "b")
        for study in range(6)
    ]
    RecordStore(tmp_path, "mini").extend([r for r in kept if r.study < 5])
    assert main(["validity", "--results", str(tmp_path)]) == 1
    assert "5 studies are complete, expected 6 or more" in capsys.readouterr().err
    half = [replace(r, horizon=0.5, fingerprint="cpu-2-half") for r in kept if r.submission == "nadamw"]
    RecordStore(tmp_path, "mini").extend([*[r for r in kept if r.study == 5], *half])
    assert main(["validity", "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "6 studies of adam, nadamw, sgd" in text
    for part in ("95 % interval holds", "Adaptive benches of up to 3 studies", "ladder of 0.5 to 0.85", "horizon"):
        assert part in text
    assert main(["validity", "--results", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["studies"] for each in told["intervals"]] == [3]
    assert {each["horizon"] for each in told["horizons"]} == {0.5}
    assert math.isfinite(told["levels"][0]["error"])

"""The benchmark of the harness: recorded curves obey rules and seeds, growth is fitted, bounds are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness import cli
from harness.studies import scale_costs, simulated
from harness.studies.growth import Growth, measured
from harness.studies.scale_bench import PlannedBench, planned_bench
from harness.studies.scale_report import ScaleReport
from scoring.records import Outcome, Record, RecordStore
from scoring.stopping import NEVER, StopRule, Until

pytestmark = pytest.mark.xdist_group("scale")  # they share the curves

GROWTH = Growth(cost="a cost", unit="s", of="trials", points=((10, 1.0), (1000, 100.0)))
REPORT = ScaleReport(
    trials=100_000,
    submissions=1000,
    devices=2,
    hardware="here",
    rate=150.0,
    driver_cpu_ms=2.0,
    peak_mb=570.0,
    settled_mb=550.0,
    bytes_per_trial=220.0,
    resume_s=6.0,
    board_s=9.0,
    files_s=12.0,
    reading_s=5.0,
    scoring_s=3.0,
    mirrored=20.0,
    mirror_text="400 of 100,000 trials mirrored in 20 s",
    growth=(GROWTH,),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> PlannedBench:
    folder = tmp_path_factory.mktemp("scale")
    simulated.keep_curves(folder / "curves")
    return planned_bench(200, folder / "results", folder / "curves")


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    assert GROWTH.exponent == pytest.approx(1.0)
    assert replace(GROWTH, points=((1, 3.0), (10, 300.0), (100, 30_000.0))).exponent == pytest.approx(2.0)
    assert replace(GROWTH, points=((1, 3.0), (10, 3.0))).exponent == pytest.approx(0.0)
    assert replace(GROWTH, points=((1, 3.0),)).as_text() == "a cost (s) at 1: 3"
    assert "trials^1.00" in GROWTH.as_text()
    assert measured("a cost", "trials", (1, 2), float).points == ((1, 1.0), (2, 2.0))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rate": 90.0}, "90 trials a second through Ray, expected at least 100"),
        ({"bytes_per_trial": 5000.0}, "growth of the driver a trial: 5000 bytes"),
        ({"resume_s": 11.0}, "a resumed bench until it is ready: 11 s, expected at most 10"),
        ({"board_s": 10.5}, "the leaderboard until it is printed: 10.5 s, expected at most 10"),
    ],
)
def test_what_is_out_of_bounds_is_named(change: dict, complaint: str) -> None:
    assert REPORT.within_bounds()
    report = replace(REPORT, **change)
    assert not report.within_bounds()
    assert f"out of bounds: {complaint}" in report.as_text()
    assert json.loads(json.dumps(report.as_json()))["exponents"] == {"a cost": pytest.approx(1.0)}


def simulated_records(bench: PlannedBench, stop_rule: StopRule = NEVER) -> list[Record]:
    trials, _ = bench.ready(Console(quiet=True))
    return [simulated.run_trial(trial.under(stop_rule)) for trial in trials[:100]]


def test_a_recorded_curve_makes_a_record_like_any_other(bench: PlannedBench) -> None:
    records = simulated_records(bench)
    assert [replace(r, started=0.0, clock_started=0.0, ended=0.0) for r in simulated_records(bench)] == [
        replace(r, started=0.0, clock_started=0.0, ended=0.0) for r in records
    ]
    assert {r.outcome for r in records} == {Outcome.REACHED, Outcome.BUDGET}
    assert all((r.crossing is not None) == (r.outcome is Outcome.REACHED) for r in records)
    assert all(r.submission_s <= r.budget_s for r in records)
    assert len({r.submission_s for r in records}) > 50


def test_it_obeys_the_rule_of_its_trial(bench: PlannedBench) -> None:
    for record in simulated_records(bench, Until(3.0, Outcome.SETTLED)):
        assert record.submission_s <= 3.0
        assert record.outcome in (Outcome.SETTLED, Outcome.REACHED)


def test_a_bench_that_has_records_is_ready_for_the_others(bench: PlannedBench, tmp_path: Path) -> None:
    resumed = replace(bench, settings=replace(bench.settings, results=tmp_path))
    trials, _ = resumed.ready(Console(quiet=True))
    assert len(trials) == resumed.trials == 200
    made = [simulated.run_trial(trial) for trial in trials[:30]]
    resumed.store.extend(made)
    left, race = resumed.ready(Console(quiet=True))
    assert len(left) == 170
    assert [trial.study for trial in left] == [trial.study for trial in trials[30:]]
    assert race.rule(left[0]).until_s > 0
    assert scale_costs.resume(resumed, 20, Console(quiet=True)) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("own_core")
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_runs_through_ray_and_gives_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["scale", "--trials-planned", "300", "--mirror-s", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code in (0, 1)  # its bounds are no matter of a test on a busy machine
    assert (report["trials"], report["submissions"]) == (300, 3)
    assert report["rate"] > 1
    assert report["resume_s"] < 10
    assert report["mirrored"] > 0
    over_nodes = report["growth"][-1]
    assert (over_nodes["of"], [nodes for nodes, _ in over_nodes["points"]]) == ("nodes", [1, 2])
    assert RecordStore(Path("results"), "scale").read()[0] == []

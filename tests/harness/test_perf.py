"""The benchmark of the harness: what it reads from records, what it complains of, and that it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness import cli
from harness.protocol.settings import Settings
from harness.runs.bench_report import BenchReport, append_report
from harness.studies import perf
from harness.studies.last_bench import LastBench, last_bench, trial_starts
from harness.studies.perf import PerfError
from harness.studies.perf_report import PerfReport, StepCost
from harness.system.machine import Device
from scoring.records import RecordStore
from tests.scoring.build import record
from workloads import registry

GOOD = StepCost(
    step_ratio=1.01,
    step_ratio_quartiles=(1.0, 1.02),
    outside_share=0.03,
    resume_ratio=1.0,
    resume_ratio_quartiles=(0.99, 1.01),
    resume_s=0.01,
    bound=1.03,
    seconds_per_step=0.01,
)
REPORT = PerfReport(
    workloads={"w": GOOD}, trial_start_s=0.2, bench_wall_ratio=1.2, overhead_cores=0.01, hardware="here"
)


def worker_trial(worker: str, start: float, clock: float, end: float, study: int):
    return record(study=study, worker=worker, started=start, clock_started=clock, ended=end)


def test_a_start_is_from_the_end_of_the_trial_before_to_the_clock() -> None:
    trials = [
        worker_trial("a", 0.0, 5.0, 10.0, 0),
        worker_trial("a", 10.1, 10.5, 20.0, 1),
        worker_trial("b", 0.0, 6.0, 11.0, 2),
        worker_trial("b", 11.0, 11.25, 21.0, 3),
    ]
    assert sorted(trial_starts(trials)) == pytest.approx([0.25, 0.5])


def test_the_last_bench_that_ran_trials_counts(tmp_path: Path) -> None:
    bench = BenchReport(
        suite="mini",
        workloads=("a",),
        fingerprint="",
        started=0.0,
        wall_s=30.0,
        trials_run=4,
        devices=2,
        submission_s=40.0,
    )
    append_report(tmp_path, replace(bench, overhead_cores=0.02))
    append_report(tmp_path, replace(bench, trials_run=1, wall_s=999.0))
    store = RecordStore(tmp_path, "mini")
    for trial in (worker_trial("a", 1.0, 2.0, 3.0, 0), worker_trial("a", 3.5, 4.0, 9.0, 1)):
        store.append(trial)
    found = last_bench(Settings(results=tmp_path))
    assert found == LastBench(trial_start_s=1.0, wall_ratio=1.5, overhead_cores=0.02)
    assert last_bench(Settings(results=tmp_path / "none")) is None


def test_a_bench_of_fewer_than_two_trials_a_device_tells_nothing(tmp_path: Path) -> None:
    bench = BenchReport(
        suite="mini", workloads=("a",), fingerprint="", started=0.0, wall_s=30.0, trials_run=3, devices=2
    )
    append_report(tmp_path, bench)
    assert last_bench(Settings(results=tmp_path)) is None


def timed_trial(losses: tuple[float | None, ...]):
    """A trial evaluated every ten steps and two seconds, whose steps say that they take so many seconds."""
    made = record(values=tuple(0.5 for _ in losses), time=None)
    evaluations = [
        replace(e, step=10 * n, examples=10 * n, time_s=5.0 + 2.0 * n, train_loss=loss)
        for n, (e, loss) in enumerate(zip(made.evaluations, losses, strict=True))
    ]
    return replace(made, evaluations=tuple(evaluations))


def test_a_step_time_is_taken_between_evaluations() -> None:
    seconds, outside = perf._step_time(timed_trial((9.0, 0.1, 0.15)))
    assert seconds == pytest.approx(0.2)
    assert outside == pytest.approx(1 - (1.0 + 1.5) / 4.0)


@pytest.mark.parametrize(
    ("losses", "message"),
    [((9.0,), "ended after 1 evaluations"), ((9.0, None), "no time at step 10"), ((), "ended after 0 evaluations")],
)
def test_a_trial_that_cannot_be_timed_is_named(losses: tuple[float | None, ...], message: str) -> None:
    with pytest.raises(PerfError, match=message):
        perf._step_time(timed_trial(losses))


@pytest.mark.parametrize("broken", [0, 1])
def test_a_trial_that_breaks_is_named(broken: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whichever it is: the one that is given up, or the one that is taken up again."""
    ran = [timed_trial((9.0, 0.1))] * broken + [record(message="no", outcome="error")]
    monkeypatch.setattr(perf, "run_trial", lambda trial, devices: ran.pop(0))
    trial = perf._loop(Settings(data=tmp_path, results=tmp_path), registry.find("smoke", "mnist_mlp"), 8)
    with pytest.raises(PerfError, match=r"the reference's trial broke .*no"):
        perf._interrupted(trial, Device(core=0))


def test_an_interrupted_trial_goes_on_from_its_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resumed = replace(timed_trial((9.0, 0.1)), resumed=1)
    ran = [timed_trial((9.0, 0.1)), resumed, timed_trial((9.0, 0.1)), timed_trial((9.0, 0.1))]
    monkeypatch.setattr(perf, "run_trial", lambda trial, devices: ran.pop(0))
    trial = perf._loop(Settings(data=tmp_path, results=tmp_path), registry.find("smoke", "mnist_mlp"), 8)
    assert perf._interrupted(trial, Device(core=0)) == resumed
    with pytest.raises(PerfError, match="began anew"):
        perf._interrupted(trial, Device(core=0))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"workloads": {"w": replace(GOOD, step_ratio=1.04)}}, "w: a step takes 1.040 x"),
        ({"workloads": {"w": replace(GOOD, resume_s=0.2)}}, "w: an interruption costs 0.20 s"),
        ({"workloads": {"w": replace(GOOD, outside_share=0.2)}}, "w: 20.0% of a step"),
        ({"workloads": {"mnist_mlp": replace(GOOD, step_ratio=1.2)}}, "mnist_mlp: a step takes 1.200 x"),
        ({"trial_start_s": 1.5}, "trial_start_s"),
        ({"bench_wall_ratio": 1.5}, "bench_wall_ratio"),
        ({"overhead_cores": 0.04}, "overhead_cores"),
    ],
)
def test_what_is_out_of_bounds_is_named(change: dict, complaint: str) -> None:
    report = replace(REPORT, **change)
    assert not report.within_bounds()
    assert complaint in report.as_text()
    assert REPORT.within_bounds()
    assert replace(REPORT, workloads={"mnist_mlp": replace(GOOD, step_ratio=1.08, bound=1.10)}).within_bounds()


@pytest.mark.slow
@pytest.mark.usefixtures("own_core")
def test_it_runs_and_gives_json(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--suite", "smoke", "--workloads", "mnist_mlp", "--results", str(tmp_path), "--data", str(cache)]
    cli.main(["perf", *common, "--pairs", "1", "--json"])  # its bounds are no matter of a test on a busy machine
    report = json.loads(capsys.readouterr().out)
    assert set(report) >= set(asdict(REPORT)) - {"hardware"}
    assert report["workloads"]["mnist_mlp"]["step_ratio"] > 0.5
    assert report["workloads"]["mnist_mlp"]["resume_ratio"] > 0.5

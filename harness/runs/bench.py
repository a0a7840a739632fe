"""The bench: prepares data, takes the pace, runs every trial that is not recorded yet, records each as it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.connect import connected
from harness.protocol.choose import chosen_submissions, chosen_workloads
from harness.protocol.plan import Recorded, checkpoint_path, plan
from harness.protocol.racing import Race
from harness.protocol.settings import Settings
from harness.protocol.step_time import StepTimeError, measure_step_time
from harness.report.progress import TrialProgress
from harness.report.reporter import Reporter
from harness.report.words import duration
from harness.system import machine, packages
from harness.trial import checkpoint_store
from scoring.records import Record, RecordStore, files
from scoring.records.protocol import REFERENCE
from submissions.registry import SubmissionRef
from workloads.base import Workload

_DRIVER_NICENESS = 10
_WORKERS = ("ray::_run", "ray::IDLE")


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """What one call of the bench did. `running_s` is the wall time in which trials ran, `wall_s` that of the whole
    call; `overhead_cores` the share of a core that all but the trials took while they ran."""

    suite: str
    workloads: tuple[str, ...]
    fingerprint: str
    started: float
    wall_s: float
    trials_run: int = 0
    trials_lost: int = 0
    devices: int = 1
    submission_s: float = 0.0
    running_s: float = 0.0
    overhead_cores: float = 0.0


def bench(settings: Settings, console: Console) -> BenchReport:
    """Runs what is missing; afterwards every trial of the settings is recorded, save those that were lost.

    Raises UsageError for settings that cannot be run, DatasetError where data cannot be had.
    """
    started, wall = time.time(), time.perf_counter()
    workloads = chosen_workloads(settings)
    submissions = chosen_submissions(settings)
    store = RecordStore(settings.results, settings.suite)
    console.print(
        f"{settings.suite}, {settings.ruleset} ruleset: {len(workloads)} workloads x {len(submissions)} submissions"
        f" x {settings.studies} studies" + (f" x {settings.trials} trials" if settings.trials > 1 else ""),
        highlight=False,
    )
    report = BenchReport(
        suite=settings.suite,
        workloads=tuple(workload.name for workload in workloads),
        fingerprint=machine.hardware(settings.layout).fingerprint,
        started=started,
        wall_s=0.0,
    )

    def stock(fingerprint: str) -> tuple[Recorded, Race]:
        recorded, race = take_stock(settings, workloads, submissions, fingerprint, store, console)
        there = f"{recorded.wanted} trials, {len(recorded)} recorded already, {recorded.missing} to run"
        console.print(there, highlight=False)
        return recorded, race

    # What a cluster measures on is known once it has answered; this machine's hardware at once.
    known = stock(report.fingerprint) if settings.ray_address is None else None
    if known is not None and not known[0].missing:
        return replace(report, wall_s=time.perf_counter() - wall)
    for submission in submissions:
        packages.install(submission, settings.data)  # here already, so that what cannot be had is said at once
    keep_sources(settings, submissions)

    with connected(settings, console) as cluster:
        os.nice(max(0, _DRIVER_NICENESS - os.nice(0)))
        report = replace(report, fingerprint=cluster.hardware.fingerprint)
        recorded, race = known or stock(report.fingerprint)
        if not recorded.missing:
            return replace(report, wall_s=time.perf_counter() - wall)
        data.prepare(workloads, settings.data, cluster, console)
        with console.status("calibrating: the reference's seconds per step on this hardware"):
            pace = measure_step_time(
                settings,
                workloads,
                report.fingerprint,
                cluster.devices,
                lambda orders: _must_run(schedule.run(orders, cluster)),
                tell=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
            )
        trials = plan(settings, workloads, submissions, pace, recorded, report.fingerprint)
        progress = TrialProgress(trials, cluster.devices, console)
        left = progress.seconds_left()
        console.print(
            f"forecast: {len(trials)} trials, about {duration(left * cluster.devices)} of device time, "
            f"{duration(left)} on {cluster.devices} x {cluster.hardware}",
            highlight=False,
            soft_wrap=True,
        )
        running = time.perf_counter()
        with progress.shown(), Reporter(settings, cluster, progress) as reporter, _overhead() as overhead:
            results = schedule.run(trials, cluster, race.rule, reporter.watch)
            submission_s, lost = keep(results, settings, store, race, reporter)
        running_s = time.perf_counter() - running
        return replace(
            report,
            trials_run=len(trials) - lost,
            trials_lost=lost,
            devices=cluster.devices,
            submission_s=submission_s,
            running_s=running_s,
            wall_s=time.perf_counter() - wall,
            overhead_cores=overhead[0] / running_s,
        )


def take_stock(
    settings: Settings,
    workloads: Sequence[Workload],
    submissions: Sequence[SubmissionRef],
    fingerprint: str,
    store: RecordStore,
    console: Console,
) -> tuple[Recorded, Race]:
    """What is recorded already of what the settings ask for, and what the race knows by that.

    Reads the records one by one and holds none. Removes the checkpoints of finished trials, left where a bench was
    killed between the two.
    """
    recorded = Recorded(settings, workloads, submissions, fingerprint)
    race = Race(settings, workloads, submissions, fingerprint)
    left = set((settings.results.absolute() / settings.suite / "checkpoints").glob("*.checkpoint"))
    warnings: list[str] = []
    for each in store.scan(warnings):
        key = each.record.key
        recorded.add(key)
        race.remember(each)
        if left and (path := checkpoint_path(settings, key)) in left:
            checkpoint_store.discard(path)
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False)
    return recorded, race


def keep(
    results: Iterable[Record | schedule.Lost],
    settings: Settings,
    store: RecordStore,
    race: Race,
    reporter: Reporter,
) -> tuple[float, int]:
    """Records each trial as it ends; the submission time of all of them, and how many were lost."""
    submission_s, lost = 0.0, 0
    for result in results:
        if isinstance(result, schedule.Lost):
            lost += 1
            reporter.lost(result.trial, result.reason)
            continue
        store.append(result)
        checkpoint_store.discard(checkpoint_path(settings, result.key))
        race.note(result)
        submission_s += result.submission_s
        reporter.ended(result)
    return submission_s, lost


def keep_sources(settings: Settings, submissions: Iterable[SubmissionRef]) -> None:
    """Keeps each submission's text beside the records that name its hash, so that a result can be traced."""
    folder = settings.results / settings.suite / "sources"
    for ref in submissions:
        path = folder / f"{ref.hash}.txt"
        if not path.exists():
            text = f"# {ref.name} {ref.filename or ''} {ref.environment}\n{ref.source}"
            files.replace(path, text.encode())


def _must_run(results: Iterable[Record | schedule.Lost]) -> Iterator[Record]:
    for result in results:
        if isinstance(result, schedule.Lost):
            raise StepTimeError(f"{REFERENCE} could not be timed on {result.trial.workload}: {result.reason}")
        yield result


@contextmanager
def _overhead() -> Iterator[list[float]]:
    """CPU seconds that this process and Ray's services take while the context lasts; trials are not counted."""
    taken = [0.0]
    services = _services()
    before = [_cpu_s(process) for process in services]
    yield taken
    taken[0] = sum(max(0.0, _cpu_s(p) - s) for p, s in zip(services, before, strict=True))


def _services() -> list[psutil.Process]:
    """This process and all below it, save Ray's workers and what runs in them."""
    found, waiting = [], [psutil.Process()]
    while waiting:
        process = waiting.pop()
        with suppress(psutil.Error):
            if not process.name().startswith(_WORKERS):
                found.append(process)
                waiting += process.children()
    return found


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def append_report(results: Path, report: BenchReport) -> None:
    """Adds one line to RESULTS/SUITE/benches.jsonl."""
    path = results / report.suite / "benches.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps(asdict(report)) + "\n")

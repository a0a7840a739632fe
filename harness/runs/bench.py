"""The bench: prepares data, times the reference's steps, runs every trial that is not recorded yet, and records
each as it ends."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.cluster.overhead import overhead
from harness.protocol.choose import chosen_submissions, chosen_workloads
from harness.protocol.plan import Plan, Recorded, plan
from harness.protocol.racing import Race
from harness.protocol.settings import Settings
from harness.protocol.step_time import StepTimeError, measure_step_time
from harness.report.progress import TrialProgress
from harness.report.reporter import Reporter
from harness.report.words import duration
from harness.runs.bench_report import BenchReport
from harness.runs.recording import find_recorded, keep_sources, record_results
from harness.system import machine, packages
from scoring.records import Record, RecordStore
from scoring.records.protocol import REFERENCE
from workloads.base import Workload

_DRIVER_NICENESS = 10


def bench(settings: Settings, console: Console, cluster: Cluster | None = None) -> BenchReport:
    """Runs what is missing; afterwards every trial of the settings is recorded, save those that were lost.

    It runs on `cluster`, or, for None, connects to one for as long as it runs. Raises UsageError for settings that
    cannot be run, DatasetError where data cannot be had.
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

    def recorded_on(fingerprint: str) -> tuple[Recorded, Race]:
        recorded, race = find_recorded(settings, workloads, submissions, fingerprint, store, console)
        there = f"{recorded.wanted} trials, {len(recorded)} recorded already, {recorded.missing} to run"
        console.print(there, highlight=False)
        return recorded, race

    # What a cluster measures on is known once it has answered; this machine's hardware at once.
    known = recorded_on(report.fingerprint) if settings.ray_address is None else None
    if known is not None and not known[0].missing:
        return replace(report, wall_s=time.perf_counter() - wall)
    for submission in submissions:
        packages.install(
            submission, settings.data
        )  # before anything runs, so that what is missing is named at once
    keep_sources(settings, submissions)

    with contextlib.nullcontext(cluster) if cluster is not None else connected(settings, console) as cluster:
        os.nice(max(0, _DRIVER_NICENESS - os.nice(0)))
        report = replace(report, fingerprint=cluster.hardware.fingerprint)
        recorded, race = known or recorded_on(report.fingerprint)
        if recorded.missing:
            step_times = prepared(settings, workloads, cluster, console)
            trials = plan(settings, workloads, submissions, step_times, recorded, report.fingerprint)
            report = _run(report, settings, trials, race, store, cluster, console)
        return replace(report, wall_s=time.perf_counter() - wall)


def prepared(
    settings: Settings, workloads: Sequence[Workload], cluster: Cluster, console: Console
) -> dict[str, float]:
    """Brings the data to the cluster; the reference's seconds per step by workload name, measured on all devices at
    once where not known yet."""
    data.prepare(workloads, settings.data, cluster, console)
    with console.status("calibrating: the reference's seconds per step on this hardware"):
        return measure_step_time(
            settings,
            workloads,
            cluster.hardware.fingerprint,
            cluster.devices,
            lambda trials: _none_lost(schedule.run(trials, cluster)),
            warn=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
        )


def _none_lost(results: Iterable[Record | schedule.LostTrial]) -> Iterator[Record]:
    for result in results:
        if isinstance(result, schedule.LostTrial):
            raise StepTimeError(f"{REFERENCE} could not be timed on {result.trial.workload}: {result.reason}")
        yield result


def _run(
    report: BenchReport,
    settings: Settings,
    trials: Plan,
    race: Race,
    store: RecordStore,
    cluster: Cluster,
    console: Console,
) -> BenchReport:
    """Runs the planned trials; the report with what that took."""
    progress = TrialProgress(trials, cluster.devices, console)
    left = progress.seconds_left()
    console.print(
        f"forecast: {len(trials)} trials, about {duration(left * cluster.devices)} of device time, "
        f"{duration(left)} on {cluster.devices} x {cluster.hardware}",
        highlight=False,
        soft_wrap=True,
    )
    running = time.perf_counter()
    with progress.shown(), Reporter(settings, cluster, progress) as reporter, overhead() as overhead_s:
        results = schedule.run(trials, cluster, race.rule, reporter.listener)
        submission_s, lost = record_results(results, settings, store, race, reporter)
    running_s = time.perf_counter() - running
    return replace(
        report,
        trials_run=len(trials) - lost,
        trials_lost=lost,
        devices=cluster.devices,
        submission_s=submission_s,
        running_s=running_s,
        overhead_cores=overhead_s[0] / running_s,
    )

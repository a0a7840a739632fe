"""A bench whose trials are simulated, run through Ray as any other: what that takes of time and of the driver."""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.cluster import schedule
from harness.cluster.connect import connected
from harness.cluster.local_nodes import local_nodes
from harness.protocol.defaults import Stop
from harness.protocol.plan import Plan, plan
from harness.protocol.racing import Race
from harness.protocol.settings import Settings
from harness.report.progress import TrialProgress
from harness.report.reporter import Reporter
from harness.runs.recording import find_recorded, record_results
from harness.studies import simulated
from harness.studies.growth import Growth, measured
from harness.system import machine
from scoring.records import Record, RecordStore
from scoring.records.protocol import REFERENCE
from submissions.registry import SubmissionRef
from workloads.base import Workload

SUITE = "scale"
WORKLOADS, STUDIES = 20, 5
SETTLED = 10_000
"""Trials after which Python and Ray have the memory that they need however long a bench is."""

_SIZES = (300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_NODES, _TRIALS_OVER_NODES = (1, 2, 4, 8), 600
_SECONDS_PER_STEP = 0.01  # of the reference, which never runs


@dataclass(frozen=True)
class PlannedBench:
    """A bench of simulated trials, and where its records are."""

    settings: Settings
    workloads: tuple[Workload, ...]
    submissions: tuple[SubmissionRef, ...]
    fingerprint: str

    @property
    def trials(self) -> int:
        """How many are planned."""
        return len(self.workloads) * len(self.submissions) * self.settings.studies

    @property
    def store(self) -> RecordStore:
        """Its records."""
        return RecordStore(self.settings.results, self.settings.suite)

    def ready(self, console: Console) -> tuple[Plan, Race]:
        """The same as a bench does until its first trial starts."""
        known, race = find_recorded(
            self.settings, self.workloads, self.submissions, self.fingerprint, self.store, console
        )
        step_times = {workload.name: _SECONDS_PER_STEP for workload in self.workloads}
        return plan(self.settings, self.workloads, self.submissions, step_times, known, self.fingerprint), race


def planned_bench(trials: int, results: Path, curves: Path, ray_address: str | None = None) -> PlannedBench:
    """A bench of so many trials, rounded up to whole submissions, with its curves in a folder of records."""
    count = max(2, -(-trials // (WORKLOADS * STUDIES)))
    return PlannedBench(
        Settings(
            suite=SUITE, studies=STUDIES, stop=Stop.EXACT, results=results, data=curves, ray_address=ray_address
        ),
        simulated.workloads(WORKLOADS),
        simulated.submissions(count, REFERENCE),
        machine.hardware().fingerprint,
    )


@dataclass(frozen=True)
class BenchCost:
    """What the trials of a bench took: seconds and peak memory of the driver as they grow, and its core in all."""

    seconds: Growth
    memory: Growth
    driver_cpu_s: float
    devices: int


def run_bench(bench: PlannedBench, console: Console) -> BenchCost:
    """Runs the whole bench through Ray, as runs/bench.py does, and looks at the clock and its own memory."""
    seconds: list[tuple[int, float]] = []
    memory: list[tuple[int, float]] = []
    sizes = {size for size in _SIZES if size < bench.trials} | {bench.trials}

    def timed(results: Iterable[Record | schedule.LostTrial]) -> Iterator[Record | schedule.LostTrial]:
        started, number = math.nan, 0
        for number, result in enumerate(results, 1):
            if number == 1:
                started = time.perf_counter()  # Ray has started its workers
            yield result
            if number in sizes:
                note(number, time.perf_counter() - started)

    def note(number: int, since: float) -> None:
        seconds.append((number, since))
        memory.append((number, _peak_mb()))
        console.print(f"{number:,} trials in {since:.1f} s, driver {memory[-1][1]:.0f} MB", highlight=False)

    with connected(bench.settings, console) as cluster, _log(bench) as log:
        trials, race = bench.ready(log)
        progress = TrialProgress(trials, cluster.devices, log)
        cpu_s = time.process_time()
        with Reporter(bench.settings, cluster, progress) as reporter:
            results = schedule.run(trials, cluster, race.rule, reporter.listener, simulated.run_trial)
            _, lost = record_results(timed(results), bench.settings, bench.store, race, reporter)
        cpu_s = time.process_time() - cpu_s
        devices = cluster.devices
    if lost:
        console.print(f"{lost} trials were lost")
    return BenchCost(
        Growth(cost="trials through Ray", unit="s", of="trials", points=tuple(seconds)),
        Growth(cost="peak memory of the driver", unit="MB", of="trials", points=tuple(memory)),
        cpu_s,
        devices,
    )


def over_nodes(bench: PlannedBench, console: Console) -> Growth:
    """What a trial costs the driver as nodes are added: all on this machine, so that only its own core tells."""

    def cost(nodes: int) -> float:
        console.print(f"on a cluster of {nodes} nodes on this machine", highlight=False)
        with (
            redirect_stdout(sys.stderr),  # where Ray says which workers went with their nodes
            tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder,
            local_nodes(nodes) as address,
        ):
            smaller = planned_bench(_TRIALS_OVER_NODES, Path(folder), bench.settings.data, address)
            return 1000 * run_bench(smaller, console).driver_cpu_s / smaller.trials

    nodes = _NODES if bench.trials >= SETTLED else _NODES[:2]
    return measured("the driver's core a trial", "nodes", nodes, cost, unit="ms")


@contextmanager
def _log(bench: PlannedBench) -> Iterator[Console]:
    """Where a bench's progress goes that nobody watches."""
    bench.settings.results.mkdir(parents=True, exist_ok=True)
    with open(bench.settings.results / "progress.log", "w") as file:
        yield Console(file=file, width=120)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6

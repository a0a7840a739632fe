"""`make scale`: what the harness itself costs as trials, submissions and records grow. It trains nothing.

Plan, schedule, race, records, progress, board and mirror are those of a bench; only what a trial does inside its
Ray task is replaced, by recorded curves. What is out of bounds is said, and the exit status is 1. Figures of a run
are in docs/scale.md.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.cluster import schedule
from harness.cluster.connect import connected
from harness.cluster.local_nodes import local_nodes
from harness.protocol.plan import Plan, plan
from harness.protocol.racing import Race
from harness.protocol.settings import Settings
from harness.report.progress import TrialProgress
from harness.report.reporter import Reporter
from harness.runs.bench import keep, take_stock
from harness.studies import recorded
from harness.studies.growth import Growth, measured
from harness.system import machine
from pacer import paths
from scoring.board import BoardQuery, build_board
from scoring.mirror import default_uri, mirror
from scoring.records import Record, RecordStore, Stored
from scoring.records.protocol import REFERENCE
from submissions.registry import SubmissionRef
from workloads.base import Workload

_SUITE = "scale"
_WORKLOADS, _STUDIES = 20, 5
_SIZES = (300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_NODES, _TRIALS_OVER_NODES = (1, 2, 4, 8), 600
_SECONDS_PER_STEP = 0.01  # of the reference, which never runs
_SETTLED = 10_000  # trials after which Python and Ray have the memory that they need however long a bench is
_BYTES_BOUND, _RATE_BOUND, _RESUME_BOUND_S, _BOARD_BOUND_S = 1_000.0, 100.0, 10.0, 10.0


@dataclass(frozen=True, kw_only=True)
class ScaleReport:
    """`rate`: trials a second through Ray, from the first to the last. `peak_mb`, `settled_mb`: peak memory of the
    driver at the end and after 10,000 trials, and `bytes_per_trial` what it grew by between, None for a shorter
    bench. `resume_s`: until a bench that has as many records is ready to run. `board_s`: from typing `leaderboard`
    to the printed table, of which `reading_s` and `scoring_s`; `files_s`: until its charts and files are written
    too. `mirrored`: trials a second into a fresh MLflow store, after the bench. Each is one measurement.
    """

    trials: int
    submissions: int
    devices: int
    hardware: str
    rate: float
    driver_cpu_ms: float
    peak_mb: float
    settled_mb: float | None
    bytes_per_trial: float | None
    resume_s: float
    board_s: float
    files_s: float
    reading_s: float
    scoring_s: float
    mirrored: float
    mirror_said: str
    growth: tuple[Growth, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"exponents": {each.cost: each.exponent for each in self.growth}}

    def complaints(self) -> list[str]:
        """What is out of bounds."""
        found = []
        if self.rate < _RATE_BOUND:
            found.append(f"{self.rate:.0f} trials a second through Ray, expected at least {_RATE_BOUND:.0f}")
        for value, bound, unit, what in (
            (self.bytes_per_trial, _BYTES_BOUND, "bytes", "growth of the driver a trial"),
            (self.resume_s, _RESUME_BOUND_S, "s", "a resumed bench until it is ready"),
            (self.board_s, _BOARD_BOUND_S, "s", "the leaderboard until it is printed"),
        ):
            if value is not None and value > bound:
                found.append(f"{what}: {value:.4g} {unit}, expected at most {bound:.4g}")
        return found

    def within_bounds(self) -> bool:
        """Whether nothing is to complain of."""
        return not self.complaints()

    def as_text(self) -> str:
        """For a person."""
        grown = (
            f", {self.settled_mb:.0f} MB after {_SETTLED:,}: {self.bytes_per_trial:.0f} bytes a trial"
            f" (at most {_BYTES_BOUND:.0f})"
            if self.settled_mb is not None and self.bytes_per_trial is not None
            else f"; its growth is judged from {_SETTLED:,} trials on"
        )
        shape = f"{self.submissions:,} submissions x {_WORKLOADS} workloads x {_STUDIES} studies"
        lines = [
            f"{self.trials:,} trials, {shape}, on {self.devices} x {self.hardware}",
            f"through Ray   {self.rate:.0f} trials/s (at least {_RATE_BOUND:.0f}), "
            f"{self.driver_cpu_ms:.2f} ms of the driver's core a trial",
            f"driver        {self.peak_mb:.0f} MB at its peak{grown}",
            f"resume        {self.resume_s:.1f} s (at most {_RESUME_BOUND_S:.0f}) to read {self.trials:,} records "
            "and plan the rest",
            f"leaderboard   {self.board_s:.1f} s (at most {_BOARD_BOUND_S:.0f}) from the command to its table: "
            f"reading {self.reading_s:.1f} s, scores {self.scoring_s:.1f} s; with its files {self.files_s:.1f} s",
            f"MLflow        {self.mirrored:.0f} trials/s, after the bench and never beside a trial: "
            f"{self.mirror_said}",
            "",
            *(each.as_text() for each in self.growth),
        ]
        return "\n".join([*lines, *(f"out of bounds: {text}" for text in self.complaints())])


def scale(trials: int, console: Console, *, mirror_s: float, ray_address: str | None = None) -> ScaleReport:
    """Measures a bench of so many trials, rounded up to whole submissions, its records, board and mirror.

    It runs on the Ray cluster at `ray_address`, or on one that it starts on this machine, and then on some of
    several nodes.
    """
    with tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder:
        curves = Path(folder) / "curves"
        recorded.keep_curves(curves)
        bench = _bench_of(trials, Path(folder) / "results", curves, ray_address)
        return _measure(bench, console, mirror_s)


@dataclass(frozen=True)
class _Bench:
    """What is planned."""

    settings: Settings
    workloads: tuple[Workload, ...]
    submissions: tuple[SubmissionRef, ...]
    fingerprint: str

    @property
    def trials(self) -> int:
        return len(self.workloads) * len(self.submissions) * self.settings.studies

    @property
    def store(self) -> RecordStore:
        return RecordStore(self.settings.results, self.settings.suite)

    def ready(self, console: Console) -> tuple[Plan, Race]:
        """The same as a bench does until its first trial starts."""
        known, race = take_stock(
            self.settings, self.workloads, self.submissions, self.fingerprint, self.store, console
        )
        pace = {workload.name: _SECONDS_PER_STEP for workload in self.workloads}
        return plan(self.settings, self.workloads, self.submissions, pace, known, self.fingerprint), race


def _bench_of(trials: int, results: Path, curves: Path, ray_address: str | None = None) -> _Bench:
    count = max(2, -(-trials // (_WORKLOADS * _STUDIES)))
    return _Bench(
        Settings(
            suite=_SUITE, studies=_STUDIES, stop="exact", results=results, data=curves, ray_address=ray_address
        ),
        recorded.workloads(_WORKLOADS),
        recorded.submissions(count, REFERENCE),
        machine.hardware().fingerprint,
    )


def _measure(bench: _Bench, console: Console, mirror_s: float) -> ScaleReport:
    ran = _run(bench, console)
    (_, settled), (_, peak) = ran.memory.points[0], ran.memory.last
    settled = dict(ran.memory.points).get(_SETTLED)
    per_trial = (
        None if settled is None or bench.trials <= _SETTLED else (peak - settled) * 1e6 / (bench.trials - _SETTLED)
    )
    console.print("resuming from its records", highlight=False)
    sizes = [size for size, _ in ran.seconds.points if size >= 1000] or [bench.trials]
    resumed = measured("a resumed bench until it is ready", "records", sizes, lambda n: _resume(bench, n, console))
    console.print("its leaderboard", highlight=False)
    board_s, files_s = _typed(bench)
    started = time.perf_counter()
    trials, _ = bench.store.brief()
    reading_s = time.perf_counter() - started
    entrants = sorted({-(-n // (_WORKLOADS * _STUDIES)) for n in sizes})
    scored = measured("scores of a leaderboard", "submissions", entrants, lambda n: _score(bench, trials, n))
    console.print(f"MLflow, for {mirror_s:.0f} s", highlight=False)
    mirrored, said = _mirror(bench, trials, mirror_s)
    over_nodes = () if bench.settings.ray_address is not None else (_over_nodes(bench, console),)
    return ScaleReport(
        trials=bench.trials,
        submissions=len(bench.submissions),
        devices=ran.devices,
        hardware=str(machine.hardware()),
        rate=bench.trials / ran.seconds.last[1],
        driver_cpu_ms=1000 * ran.driver_cpu_s / bench.trials,
        peak_mb=peak,
        settled_mb=settled,
        bytes_per_trial=per_trial,
        resume_s=resumed.last[1],
        board_s=board_s,
        files_s=files_s,
        reading_s=reading_s,
        scoring_s=scored.last[1],
        mirrored=mirrored.last[0] / mirrored.last[1],
        mirror_said=said,
        growth=(ran.seconds, ran.memory, resumed, scored, mirrored, *over_nodes),
    )


@dataclass(frozen=True)
class _Ran:
    seconds: Growth
    memory: Growth
    driver_cpu_s: float
    devices: int


def _run(bench: _Bench, console: Console) -> _Ran:
    """Runs the whole bench through Ray, as verbs/bench.py does, and looks at the clock and its own memory."""
    seconds: list[tuple[int, float]] = []
    memory: list[tuple[int, float]] = []
    sizes = {size for size in _SIZES if size < bench.trials} | {bench.trials}

    def supervised(results: Iterable[Record | schedule.Lost]) -> Iterator[Record | schedule.Lost]:
        started = None
        for number, result in enumerate(results):
            if started is None:
                started = time.perf_counter()  # Ray has started its workers
            if number in sizes:
                note(number, time.perf_counter() - started)
            yield result
        assert started is not None
        note(number + 1, time.perf_counter() - started)

    def note(number: int, since: float) -> None:
        seconds.append((number, since))
        memory.append((number, _peak_mb()))
        console.print(f"{number:,} trials in {since:.1f} s, driver {memory[-1][1]:.0f} MB", highlight=False)

    with connected(bench.settings, console) as cluster, _log(bench) as log:
        trials, race = bench.ready(log)
        progress = TrialProgress(trials, cluster.devices, log)
        cpu_s = time.process_time()
        with Reporter(bench.settings, cluster, progress) as reporter:
            results = schedule.run(trials, cluster, race.rule, reporter.watch, recorded.perform)
            _, lost = keep(supervised(results), bench.settings, bench.store, race, reporter)
        cpu_s = time.process_time() - cpu_s
        devices = cluster.devices
    if lost:
        console.print(f"{lost} trials were lost")
    return _Ran(
        Growth(cost="trials through Ray", unit="s", of="trials", points=tuple(seconds)),
        Growth(cost="peak memory of the driver", unit="MB", of="trials", points=tuple(memory)),
        cpu_s,
        devices,
    )


def _over_nodes(bench: _Bench, console: Console) -> Growth:
    """What a trial costs the driver as nodes are added: all on this machine, so that only its own core tells."""

    def cost(nodes: int) -> float:
        console.print(f"on a cluster of {nodes} nodes on this machine", highlight=False)
        with (
            redirect_stdout(sys.stderr),  # where Ray says which workers went with their nodes
            tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder,
            local_nodes(nodes) as address,
        ):
            smaller = _bench_of(_TRIALS_OVER_NODES, Path(folder), bench.settings.data, address)
            return 1000 * _run(smaller, console).driver_cpu_s / smaller.trials

    nodes = _NODES if bench.trials >= _SETTLED else _NODES[:2]
    return measured("the driver's core a trial", "nodes", nodes, cost, unit="ms")


@contextmanager
def _log(bench: _Bench) -> Iterator[Console]:
    """Where a bench's progress goes that nobody watches."""
    bench.settings.results.mkdir(parents=True, exist_ok=True)
    with open(bench.settings.results / "progress.log", "w") as file:
        yield Console(file=file, width=120)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _resume(bench: _Bench, records: int, console: Console) -> float:
    """Seconds until a bench that has so many records, and another study to run, is ready to."""
    with tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder:
        settings = replace(bench.settings, results=Path(folder), studies=_STUDIES + 1)
        shorter = replace(bench, settings=settings)
        shorter.store.folder.mkdir(parents=True)
        _copy_lines(bench.store.path, shorter.store.path, records)
        started = time.perf_counter()
        trials, _ = shorter.ready(console)
        TrialProgress(trials, 1, console)
        taken = time.perf_counter() - started
    assert len(trials) == shorter.trials - records, (
        f"{len(trials)} of {shorter.trials} are left of {records} records"
    )
    return taken


def _copy_lines(source: Path, target: Path, count: int) -> None:
    with open(source, "rb") as lines, open(target, "wb") as file:
        for _, line in zip(range(count), lines, strict=False):
            file.write(line)


def _typed(bench: _Bench) -> tuple[float, float]:
    """Seconds of the command that a user types, MLflow aside, from the start of its process: until the table is
    printed, and until its files are written as well."""
    words = ["leaderboard", "--suite", _SUITE, "--results", str(bench.settings.results), "--no-mlflow"]
    started, printed = time.perf_counter(), math.nan
    command, environment = paths.python_command("-m", "harness", *words), paths.python_environment()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"next: "):  # the last line of a table
                printed = time.perf_counter() - started
    assert process.returncode == 0, f"{' '.join(words)} ended with {process.returncode}"
    return printed, time.perf_counter() - started


def _score(bench: _Bench, trials: Sequence[Stored], submissions: int) -> float:
    names = {ref.name for ref in bench.submissions[:submissions]}
    records = [each.record for each in trials if each.record.submission in names]
    started = time.perf_counter()
    build_board(records, BoardQuery(suite=_SUITE))
    return time.perf_counter() - started


def _mirror(bench: _Bench, trials: Sequence[Stored], patience_s: float) -> tuple[Growth, str]:
    """Trials that went into a fresh store in a quarter, a half and all of some seconds, one after the other."""
    uri = default_uri(bench.settings.results)
    mirror([], tracking_uri=uri)  # makes the tables
    points, started, done = [], time.perf_counter(), 0
    for share in (0.25, 0.25, 0.5):
        report = mirror(trials, tracking_uri=uri, patience_s=share * patience_s)
        done += report.trials
        points.append((max(done, 1), time.perf_counter() - started))
    said = f"{len(trials) - report.behind:,} of {len(trials):,} trials mirrored in {points[-1][1]:.0f} s"
    return Growth(cost="trials into MLflow", unit="s", of="trials", points=tuple(points)), said

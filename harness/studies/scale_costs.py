"""What the records of a large bench cost: to resume it, to score it, to show its board, to mirror it."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.report.progress import TrialProgress
from harness.studies.growth import Growth
from harness.studies.scale_bench import STUDIES, SUITE, PlannedBench
from pacer import paths
from pacer.errors import PacerError
from scoring.board import BoardQuery, build_board
from scoring.mirror import default_uri, mirror
from scoring.records import Stored


class ScaleError(PacerError):
    """What was to be timed broke."""


def resume(bench: PlannedBench, records: int, console: Console) -> float:
    """Seconds until a bench that has so many records, and another study to run, is ready to."""
    with tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder:
        settings = replace(bench.settings, results=Path(folder), studies=STUDIES + 1)
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


def leaderboard(bench: PlannedBench) -> tuple[float, float]:
    """Seconds of the command that a user types, MLflow aside, from the start of its process: until the table is
    printed, and until its files are written as well."""
    words = ["leaderboard", "--suite", SUITE, "--results", str(bench.settings.results), "--no-mlflow"]
    started, printed = time.perf_counter(), math.nan
    command, environment = paths.python_command("-m", "harness", *words), paths.python_environment()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"next: "):  # the last line of a table
                printed = time.perf_counter() - started
    if process.returncode:
        raise ScaleError(f"{' '.join(command)} ended with {process.returncode}, expected 0")
    return printed, time.perf_counter() - started


def score(bench: PlannedBench, trials: Sequence[Stored], submissions: int) -> float:
    """Seconds to build the board of so many of its submissions."""
    names = {ref.name for ref in bench.submissions[:submissions]}
    records = [each.record for each in trials if each.record.submission in names]
    started = time.perf_counter()
    build_board(records, BoardQuery(suite=SUITE))
    return time.perf_counter() - started


def mirror_for(bench: PlannedBench, trials: Sequence[Stored], patience_s: float) -> tuple[Growth, str]:
    """Trials that went into a fresh store in a quarter, a half and all of some seconds, one after the other."""
    uri = default_uri(bench.settings.results)
    mirror([], tracking_uri=uri)  # makes the tables
    points, started, done = [], time.perf_counter(), 0
    for share in (0.25, 0.25, 0.5):
        report = mirror(trials, tracking_uri=uri, patience_s=share * patience_s)
        done += report.trials
        points.append((max(done, 1), time.perf_counter() - started))
    text = f"{len(trials) - report.behind:,} of {len(trials):,} trials mirrored in {points[-1][1]:.0f} s"
    return Growth(cost="trials into MLflow", unit="s", of="trials", points=tuple(points)), text

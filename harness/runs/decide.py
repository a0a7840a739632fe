"""`bench --until-decided A,B`: adds studies to two submissions until one is known to be ahead, or neither."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Console

from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.report.words import duration
from harness.runs.bench import bench
from harness.runs.bench_report import BenchReport
from pacer.errors import UsageError
from scoring.query import BoardQuery
from scoring.records import RecordStore
from scoring.sequential import Look, look
from scoring.versus import MARGIN, Verdict, versus
from submissions.registry import resolve


@dataclass(frozen=True, kw_only=True)
class Until:
    """When to stop: once one of the two is ahead or they are equivalent within a `margin`, which is wrong with a
    probability of 1 - `sure` at most however often it is looked at, or after `budget_h` hours of device time."""

    sure: float = 0.95
    budget_h: float = 1.0
    margin: float = MARGIN

    def __post_init__(self) -> None:
        if not 0.5 < self.sure < 1.0:
            raise ValueError(f"a probability of {self.sure} was asked for, expected one between 0.5 and 1")
        if self.budget_h <= 0.0:
            raise ValueError(f"a budget of {self.budget_h} hours was given, expected more than 0")
        if not 0.0 < self.margin < 1.0:
            raise ValueError(f"a margin of {self.margin} was given, expected a share between 0 and 1, such as 0.05")


def until_decided(
    settings: Settings, pair: tuple[str, ...], until: Until, console: Console
) -> Iterator[BenchReport]:
    """Runs benches of two submissions and the reference, one study more each time; yields each bench's report.

    The first has the studies of the settings, two at least. After each it prints how much sooner the first of the
    two comes to the same levels, and what a sequential test says (scoring.sequential). Raises UsageError unless
    `pair` names two submissions.
    """
    if len(pair) != 2:
        raise UsageError(
            f"{len(pair)} submissions are to be decided between, expected two: --until-decided adamw,lion"
        )
    try:
        first, second = (resolve(spec).name for spec in pair)
    except ValueError as error:
        raise UsageError(str(error)) from None
    first_look = max(2, settings.studies)
    settings = replace(settings, submissions=pair, studies=first_look)
    spent_s = 0.0
    with connected(settings, console) as cluster:  # one for all benches, so that each is quick to start
        while True:
            report = bench(settings, console, cluster)
            yield report
            spent_s += report.running_s * report.devices
            query = BoardQuery(
                suite=settings.suite,
                workloads=report.workloads,
                ruleset=settings.ruleset,
                fingerprint=report.fingerprint,
            )
            records = RecordStore(settings.results, settings.suite).read()[0]
            measured = versus(records, first, second, query, until.margin)
            seen = look(
                measured.differences,
                studies=settings.studies,
                first=first_look,
                alpha=1.0 - until.sure,
                margin=until.margin,
            )
            decided = seen.verdict is not Verdict.UNDECIDED
            over = spent_s >= 3600.0 * until.budget_h
            end = _words(seen, first, second, measured.overall.speedup)
            if not decided:
                end += f"; {duration(spent_s)} of device time are spent" if over else "; another one"
            line = (
                f"{first} against {second} after {settings.studies} studies: {measured.overall.speedup:.2f}x "
                f"[{math.exp(seen.low):.2f}, {math.exp(seen.high):.2f}] at {seen.level:.2%}: {end}"
            )
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            if decided or over:
                return
            settings = replace(settings, studies=settings.studies + 1)


def _words(seen: Look, first: str, second: str, speedup: float) -> str:
    """The verdict in words."""
    if seen.verdict is Verdict.BETTER:
        return f"{first if speedup > 1.0 else second} is ahead"
    return "equivalent" if seen.verdict is Verdict.EQUIVALENT else "undecided"

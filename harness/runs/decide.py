"""`bench --until-decided A,B`: adds studies to two submissions until it is known which of them is ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Console

from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.report.words import duration
from harness.runs.bench import bench
from harness.runs.bench_report import BenchReport
from pacer.errors import UsageError
from scoring.board import BoardQuery, p_first_ahead
from scoring.records import RecordStore
from submissions.registry import resolve


@dataclass(frozen=True, kw_only=True)
class Until:
    """When to stop: the probability with which one has to be ahead, or `budget_h` hours of device time."""

    sure: float = 0.95
    budget_h: float = 1.0

    def __post_init__(self) -> None:
        if not 0.5 < self.sure < 1.0:
            raise ValueError(f"a probability of {self.sure} was asked for, expected one between 0.5 and 1")
        if self.budget_h <= 0.0:
            raise ValueError(f"a budget of {self.budget_h} hours was given, expected more than 0")


def until_decided(
    settings: Settings, pair: tuple[str, ...], until: Until, console: Console
) -> Iterator[BenchReport]:
    """Runs benches of two submissions and the reference, one study more each time; yields each bench's report.

    The first has the studies of the settings. After each it prints how probable it is that the first of the two is
    ahead, by anchored score. Raises UsageError unless `pair` names two submissions.
    """
    if len(pair) != 2:
        raise UsageError(
            f"{len(pair)} submissions are to be decided between, expected two: --until-decided adamw,lion"
        )
    try:
        first, second = (resolve(spec).name for spec in pair)
    except ValueError as error:
        raise UsageError(str(error)) from None
    settings = replace(settings, submissions=pair)
    spent_s = 0.0
    with connected(settings, console) as cluster:  # one for all benches, so that each is quick to start
        while True:
            report = bench(settings, console, cluster)
            yield report
            spent_s += report.running_s * report.devices
            ahead = p_first_ahead(
                RecordStore(settings.results, settings.suite).read()[0],
                first,
                second,
                BoardQuery(
                    suite=settings.suite,
                    workloads=report.workloads,
                    ruleset=settings.ruleset,
                    fingerprint=report.fingerprint,
                ),
            )
            decided = max(ahead, 1.0 - ahead) >= until.sure
            over = spent_s >= 3600.0 * until.budget_h
            end = (
                "decided" if decided else f"{duration(spent_s)} of device time are spent" if over else "another one"
            )
            line = f"P({first} ahead of {second}) is {ahead:.1%} after {settings.studies} studies: {end}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            if decided or over:
                return
            settings = replace(settings, studies=settings.studies + 1)

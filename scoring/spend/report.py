"""What spending studies where they decide would have saved on a bench that has all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.query import BoardQuery
from scoring.records import Record
from scoring.selection import select
from scoring.spend.allocate import Rule
from scoring.spend.play import Point, play_records

_MOST_LINES = 15
_MOST_LEFT_OUT = 20


@dataclass(frozen=True, kw_only=True)
class SpendReport:
    """The points of an adaptive bench, and the last one with each submission left out in turn, with the hours that
    all studies of the others take: a board is not chosen by who is on it."""

    suite: str
    submissions: int
    studies: int
    all_hours: float
    points: tuple[Point, ...]
    without_each: tuple[tuple[Point, float], ...]


def spend_report(records: Sequence[Record], query: BoardQuery, rule: Rule | None = None) -> SpendReport:
    """Plays the records. Raises RecordsError where there are no trials, or none of the reference."""
    chosen = select(records, query)
    ours = [record for trials in chosen.trials.values() for record in trials]
    others = [name for name in chosen.submissions if name != query.reference]
    without = []
    for name in others if 2 < len(others) <= _MOST_LEFT_OUT else []:
        rest = [record for record in ours if record.submission != name]
        without.append((play_records(rest, query, rule)[-1], _hours(rest)))
    return SpendReport(
        suite=query.suite,
        submissions=len(chosen.submissions),
        studies=len({(record.seed, record.study) for record in ours}),
        all_hours=_hours(ours),
        points=tuple(play_records(ours, query, rule)),
        without_each=tuple(without),
    )


def spend_text(report: SpendReport) -> str:
    """The report as a table for a terminal."""
    lines = [
        f"{report.suite}: {report.submissions} submissions, up to {report.studies} studies each, "
        f"{report.all_hours:.4g} hours of submission time; studies where they decide",
        "  hours  cheaper  studies  decided  change  of half interval",
    ]
    every = max(1, math.ceil(len(report.points) / _MOST_LINES))
    shown = [*report.points[:-1:every], report.points[-1]]
    lines += [
        f"{p.hours:7.4g}  {report.all_hours / p.hours:6.2f}x  {p.studies:7d}  {p.decided:7.0%}  "
        f"{math.expm1(p.change):6.1%}  {p.over_interval:16.2f}"
        for p in shown
    ]
    lines.append(
        "decided: of the neighbours on the board; change: the largest of any ladder score against all studies, and "
        "of the half of that row's own interval"
    )
    if report.without_each:
        cheaper = [hours / point.hours for point, hours in report.without_each]
        lines.append(
            f"each submission left out in turn, at the end: {min(cheaper):.2f}x to {max(cheaper):.2f}x cheaper, "
            f"at least {min(p.decided for p, _ in report.without_each):.0%} decided, "
            f"change {math.expm1(max(p.change for p, _ in report.without_each)):.1%} at most, "
            f"{max(p.over_interval for p, _ in report.without_each):.2f} of half an interval at most"
        )
    return "\n".join(lines)


def _hours(records: Sequence[Record]) -> float:
    return sum(record.submission_s for record in records) / 3600

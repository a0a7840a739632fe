"""A report of a replay for a terminal, and as points for a chart."""

from __future__ import annotations

import math
from itertools import groupby

from scoring.names import LADDER
from scoring.replay.effects import TIMES, Effect
from scoring.replay.reports import Report, promised

_HOUR = 3600.0


def as_text(report: Report) -> str:
    """The report as a table for a terminal."""
    hours = report.logged_s / _HOUR
    mark = "the budget" if report.reference is None else report.reference
    wide = max(len(line.label) for line in report.lines)
    rows = [
        f"{report.suite} ({report.ruleset}): {report.trials} trials of {len(report.submissions)} submissions, "
        f"{hours:.4g} hours of submission time; anchored at {mark}",
        f"{'':{wide}}  {'bench, all from nothing':^46}   {'newcomer, the others known':^46}",
        f"{'':{wide}}  {_HEAD}   {_HEAD}",
    ]
    for family, lines in groupby(report.lines, key=lambda line: line.family):
        rows.append(family)
        rows += [f"{line.label:{wide}}  {_row(line.bench, hours)}   {_row(line.newcomer, hours)}" for line in lines]
        if family in report.picked:
            rows.append(f"{'picked on the others':{wide + 48}}   {_row(report.picked[family].newcomer, hours)}")
    rows.append(
        "hours and times cheaper; largest change of any score, algoperf, anchored and the ladder's logarithm; "
        "workloads lost, of "
        f"{len(report.submissions)} submissions: too few to bound what a policy does to the next one"
    )
    for family, picked in report.picked.items():
        rows.append(f"{family} picked: {', '.join(f'{label} for {name}' for name, label in picked.labels.items())}")
    for line in report.lines:
        for setting, effect in (("bench", line.bench), ("newcomer", line.newcomer)):
            if effect.lost:
                lost = ", ".join(f"{submission} {workload}" for submission, workload in effect.lost)
                rows.append(f"{line.family} {line.label} loses, {setting}: {lost}")
    return "\n".join(rows)


_SCORES = (*TIMES, LADDER)
_HEAD = "  hours  cheaper  algoperf  anchored    ladder lost"


def _row(effect: Effect, hours: float) -> str:
    spent = effect.spent_s / _HOUR
    changes = "  ".join(f"{effect.changes[name]:8.4f}" if name in effect.changes else " " * 8 for name in _SCORES)
    return f"{spent:7.4g}  {_times(hours, spent):6.2f}x  {changes}  {len(effect.lost):3d}"


def _times(hours: float, spent: float) -> float:
    return hours / spent if spent else math.inf


def curves(report: Report) -> dict[str, list[tuple[float, float]]]:
    """(largest score change, times cheaper) of each family's newcomers, the mildest first: for a chart."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in report.lines:
        point = (line.newcomer.change(promised(line.family)), _times(report.logged_s, line.newcomer.spent_s))
        points.setdefault(line.family, []).append(point)
    return points

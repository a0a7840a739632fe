"""What `pacer validity` measures, gathered from records and from the runs behind the targets, and as text."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.report.show import Boards
from pacer.errors import RecordsError
from scoring.ladder import climb
from scoring.names import Axis
from scoring.records import Record, RecordStore
from scoring.records.curve import Curve
from scoring.selection import select
from scoring.tables import aligned
from scoring.validity import (
    Foretold,
    Shorter,
    SpendAlarms,
    Validity,
    all_sizes,
    foretold,
    shorter_horizons,
    spend_alarms,
)
from scoring.validity.foretell import Runs
from scoring.validity.intervals import complete
from workloads import registry, targets

_FEWEST = 6
"""Studies from which boards of three can be drawn twice."""


@dataclass(frozen=True, kw_only=True)
class ValidityReport:
    """What the records tell: of boards drawn from their studies, of adaptive benches, of levels, from the runs that
    set the targets of the suite, and of shorter schedules of the reference."""

    suite: str
    by: Axis
    submissions: tuple[str, ...]
    studies: int
    intervals: tuple[Validity, ...]
    adaptive: SpendAlarms
    levels: tuple[Foretold, ...]
    horizons: tuple[Shorter, ...]


def validity_report(boards: Boards, results: Path) -> ValidityReport:
    """Measures it. Raises RecordsError where the records have fewer than six complete studies."""
    query = boards.query
    chosen = select([trial.record for trial in boards.trials], query)
    climbed = climb(chosen, query.reference)
    logs, rows = complete(climbed, query.by)
    if logs.shape[-1] < _FEWEST:
        raise RecordsError(
            f"{logs.shape[-1]} studies are complete, expected {_FEWEST} or more to draw boards of three from; "
            "run: make bench STUDIES=20"
        )
    reference = rows.index(climbed.reference) if climbed.reference in rows else 0
    return ValidityReport(
        suite=query.suite,
        by=query.by,
        submissions=tuple(chosen.submissions[s] for s in rows),
        studies=logs.shape[-1],
        intervals=tuple(all_sizes(climbed, query.by)),
        adaptive=spend_alarms(logs, reference),
        levels=tuple(foretold(runs)) if (runs := _target_runs(query.suite)) else (),
        horizons=tuple(_horizons(chosen.trials, results, query.suite, query.reference)),
    )


def _horizons(
    trials: Mapping[tuple[str, str], Sequence[Record]], results: Path, suite: str, reference: str
) -> list[Shorter]:
    whole = [record for (name, _), own in trials.items() if name == reference for record in own]
    others: defaultdict[float, list[Record]] = defaultdict(list)
    for stored in RecordStore(results, suite).brief()[0]:
        record = stored.record
        if record.submission == reference and record.layout.horizon < 1.0 and record.layout.batch == 1.0:
            others[record.layout.horizon].append(record)
    return shorter_horizons(whole, others)


def _target_runs(suite: str) -> list[Runs]:
    """The runs that set the targets of a suite, of the workloads whose target they set; none for another suite."""
    try:
        workloads = registry.suite(suite)
    except ValueError:
        return []
    found = []
    for workload in workloads:
        kept = targets.load(workload)
        if kept is None or workload.target is None or "reference" not in kept.evidence:
            continue
        evidence = kept.evidence
        found.append(
            Runs(
                reference=[_curve(run, workload.metric.higher_is_better) for run in evidence["reference"]],
                others=[
                    _curve(run, workload.metric.higher_is_better)
                    for run in (*evidence["search"], *evidence["repeats"])
                    if run["validation"]
                ],
                target=workload.target,
                higher_is_better=workload.metric.higher_is_better,
            )
        )
    return found


@dataclass(frozen=True)
class _Evaluation:
    step: int
    value: float | None
    examples: int = 0
    time_s: float = 0.0


def _curve(run: Mapping[str, Any], higher_is_better: bool) -> Curve:
    """Of a kept run: a single step stands for evenly spaced ones that end there."""
    values, steps = run["validation"], run["steps"]
    if len(steps) == 1:
        steps = [round(steps[0] * (i + 1) / len(values)) for i in range(len(values))]
    points = [_Evaluation(step, value) for step, value in zip(steps, values, strict=True)]
    return Curve.of(points, higher_is_better=higher_is_better)


def as_text(report: ValidityReport) -> str:
    """Four tables; those that the records say nothing of are left out."""
    names = ", ".join(report.submissions)
    parts = [f"suite {report.suite} by {report.by}: {report.studies} studies of {names}"]
    rows = [
        [str(each.studies), *(f"{share.value:.1%}" for share in (each.coverage, each.false_alarms))]
        for each in report.intervals
    ]
    heads = ["studies", "95 % interval holds", "copies called different"]
    parts.append("Boards drawn from these studies\n" + aligned(heads, rows, words="studies"))
    own = report.adaptive
    parts.append(
        f"Adaptive benches of up to {own.studies} studies of each submission and a copy of it: "
        f"{own.false_alarms.value:.1%} of copies called better or worse (5 % is allowed), "
        f"in {own.device_time:.0%} of the device time"
    )
    if report.levels:
        rows = [
            [
                "ladder of 0.5 to 0.85" if each.share is None else f"{each.share:g}",
                f"{math.exp(each.bias):.2f}x",
                f"{each.error:.2f}",
                "-" if each.correlation is None else f"{each.correlation:.2f}",
            ]
            for each in report.levels
        ]
        heads = ["level", "over that at the target", "error of the logarithm", "correlation"]
        parts.append(
            f"Speed-ups at easier levels against those at the target, {report.levels[0].pairs} runs, in steps\n"
            + aligned(heads, rows, words="level")
        )
    if report.horizons:
        rows = [
            [each.workload, f"{each.horizon:g}", f"{each.sooner:.2f}x", f"{each.ladder:.2f}x", str(each.studies)]
            for each in report.horizons
        ]
        heads = ["workload", "horizon", "sooner at its own end", "its ladder speed-up", "studies"]
        parts.append(
            "The reference with a shorter schedule against its whole one, in steps\n"
            + aligned(heads, rows, words="workload")
        )
    return "\n\n".join(parts) + "\n"

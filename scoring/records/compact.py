"""Smaller records: a learning curve, and of the evaluations those two that decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pacer.target import Target
from scoring.records.record import Record

_DIGITS, _TIME_DIGITS = 6, 4

_T = TypeVar("_T")


def deciding(values: Sequence[float | None], target: Target) -> int:
    """The index of the first value that meets the target, or of the last but one."""
    last = max(0, len(values) - 2)
    return next((index for index, value in enumerate(values) if target.met(value)), last)


def around(evaluations: Sequence[_T], index: int) -> Sequence[_T]:
    """The evaluation at `deciding`'s index and the one after it, if there is one."""
    return evaluations[index : index + 2]


def brief(record: Record) -> Record:
    """What boards and benches need: the curve, two evaluations, and the ledger only for want of a budget."""
    index = deciding([each.value for each in record.evaluations], Target(record.target, record.higher_is_better))
    return replace(
        record,
        evaluations=around(record.evaluations, index),
        skipped=record.skipped + index,
        curve=record.learning_curve(),
        ledger=() if record.budget_s else record.ledger,
    )


def compact(record: Record) -> Record:
    """What an archive keeps of a record: that, the ledger's totals, times to a tenth of a millisecond, and the
    curve's values to six digits."""
    short = brief(record)
    failure = record.failure and replace(record.failure, traceback=None)
    ledger = tuple((account, round(seconds, _TIME_DIGITS)) for account, seconds in _totals(record.ledger).items())
    return replace(
        short,
        curve=short.curve and short.curve.rounded(_DIGITS, _TIME_DIGITS),
        evaluations=tuple(
            replace(each, time_s=round(each.time_s, _TIME_DIGITS), extra_metrics={}) for each in short.evaluations
        ),
        ledger=ledger,
        failure=failure,
        contention_s=None if record.contention_s is None else round(record.contention_s, _TIME_DIGITS),
        waited_s=None if record.waited_s is None else round(record.waited_s, _TIME_DIGITS),
        budget_s=round(record.budget_s, _TIME_DIGITS),
        evaluation_period_s=round(record.evaluation_period_s, _TIME_DIGITS),
        wall_s=round(record.wall_s, _TIME_DIGITS),
        started=round(record.started, _TIME_DIGITS),
        clock_started=round(record.clock_started, _TIME_DIGITS),
        ended=round(record.ended, _TIME_DIGITS),
    )


def _totals(ledger: Iterable[tuple[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for account, seconds in ledger:
        totals[account] += seconds
    return totals

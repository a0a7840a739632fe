"""The rule by which a target follows from runs: see targets.py for the procedure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from pacer.errors import PacerError
from scoring.records import Record
from scoring.records.protocol import REFERENCE
from workloads.base import Workload

_SHARE_OF_HORIZON = 0.8


class TargetError(PacerError):
    """No target could be set."""


def decide(workload: Workload, repeated: Sequence[Record], reference: Sequence[Record]) -> float:
    """The target, from the repeats of the best point and the reference's studies, rounded to the easier side."""
    horizon = _SHARE_OF_HORIZON * workload.step_hint
    middle = aim(workload, repeated)
    reached = [best_value(workload, record, horizon) for record in reference]
    easiest = max((middle, *reached), key=lambda value: rank(workload, value))
    if not math.isfinite(easiest):
        raise TargetError(
            f"{workload.name}: the reference {REFERENCE} diverges; change its defaults or the workload"
        )
    if easiest == 0.0:
        return 0.0
    digits = 3 - math.ceil(math.log10(abs(easiest)))
    rounded = math.ceil(rank(workload, easiest) * 10**digits) / 10**digits
    return round(rank(workload, rounded), max(0, digits))


def aim(workload: Workload, repeated: Sequence[Record]) -> float:
    """The median of what the repeats of the best point reach."""
    return median(best_value(workload, record) for record in repeated)


def best_value(workload: Workload, record: Record, horizon: float = math.inf) -> float:
    """The best validation value up to a step, infinitely bad where there is none."""
    values = [e.value for e in record.evaluations if e.value is not None and e.step <= horizon]
    worst = -math.inf if workload.metric.higher_is_better else math.inf
    return min(values, key=lambda value: rank(workload, value), default=worst)


def steps_to(workload: Workload, record: Record, target: float) -> int | None:
    """Steps to the target, None where the run did not reach it."""
    reaches = replace(workload, target=target).reaches
    return next((e.step for e in record.evaluations if reaches(e.value)), None)


def rank(workload: Workload, value: float) -> float:
    """The value with its sign such that smaller is better (and, applied twice, the value again)."""
    return -value if workload.metric.higher_is_better else value

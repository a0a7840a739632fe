"""What a shorter schedule does: the reference at a part of its horizon against its own curve at the whole one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.ladder.curves import AXES, Curves
from scoring.ladder.levels import levels_of
from scoring.ladder.speedups import log_speedups
from scoring.records import Record


@dataclass(frozen=True, kw_only=True)
class Shorter:
    """The reference at a `horizon` below 1 on one workload, by steps, means over its studies.

    `sooner`: how many times sooner it comes to its last value than the whole schedule does, a speed-up that is the
    schedule's alone. `ladder`: the ladder speed-up that such a run would have on a board at the whole horizon.
    """

    workload: str
    horizon: float
    studies: int
    sooner: float
    ladder: float


def shorter_horizons(whole: Sequence[Record], shorter: Mapping[float, Sequence[Record]]) -> list[Shorter]:
    """For records of the reference at its whole horizon and at others; by workload, then by horizon."""
    found = []
    for workload in sorted({record.workload for record in whole}):
        full = [record for record in whole if record.workload == workload]
        sign, target = (1.0 if full[0].higher_is_better else -1.0), full[0].target
        reference = _curves(full)
        levels = levels_of(reference, None if target is None else sign * target)
        for horizon, records in sorted(shorter.items()):
            own = [record for record in records if record.workload == workload]
            if not own or horizon >= 1.0:
                continue
            curves, axis = _curves(own), AXES["steps"]
            marks = reference.crossings(curves.finals)[..., axis]
            marks = np.where(np.isfinite(marks), marks, reference.ends[:, axis][:, None])
            sooner = np.log(marks).mean(axis=0) - np.log(curves.ends[:, axis])
            ended = np.ones(len(own), bool)
            ladder = log_speedups(curves, reference, levels, ended=ended, void=~ended)[:, axis]
            found.append(
                Shorter(
                    workload=workload,
                    horizon=horizon,
                    studies=len(own),
                    sooner=float(np.exp(sooner.mean())),
                    ladder=float(np.exp(ladder.mean())),
                )
            )
    return found


def _curves(records: Sequence[Record]) -> Curves:
    higher = records[0].higher_is_better
    return Curves.of([record.learning_curve() for record in records], higher_is_better=higher)

"""The noise of studies, and the smallest speed-up that so many of them detect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from scoring.ladder import Ladder, climb
from scoring.paired import POWER, SURE, Noise
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.scores import Array
from scoring.selection import select

STUDIES = (3, 5, 10)


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """What a comparison with the reference detects. `noise`: the standard deviation of the logarithm of a paired
    speed-up that one study gives, from `freedom` degrees of freedom; None where no submission has two studies.
    `smallest`: by number of studies, the least speed-up that is told from 1 with a probability of 80 %."""

    noise: float | None
    freedom: int
    smallest: Mapping[int, float | None]


@dataclass(frozen=True, kw_only=True)
class NoiseReport:
    """The noise on each workload, and of scores over all of them."""

    suite: str
    hardware: str
    by: str
    overall: Detectable
    workloads: Mapping[str, Detectable]


def noise_of(records: Sequence[Record], query: BoardQuery) -> NoiseReport:
    """The noise of the records of a board. Raises RecordsError without trials of the reference."""
    chosen = select(records, query)
    climbed = climb(chosen, query.reference)
    noise = _pooled(climbed, query.by)
    columns = {name: w for w, name in enumerate(chosen.workloads) if name in climbed.levels}
    return NoiseReport(
        suite=query.suite,
        hardware=chosen.hardware,
        by=query.by,
        overall=_detectable(noise, list(columns.values())),
        workloads={name: _detectable(noise, [w]) for name, w in columns.items()},
    )


def detectable_speedup(climbed: Ladder, by: str, studies: int) -> float | None:
    """The smallest speed-up over the reference that a board of so many studies detects, None where that is not
    known."""
    noise = _pooled(climbed, by)
    measured = np.isfinite(climbed.on[by]).any(axis=(0, 2))
    return _smallest(noise.variance[measured], studies)


def _pooled(climbed: Ladder, by: str) -> Noise:
    """The noise of differences to the reference, pooled over all others, by workload."""
    logs = climbed.on[by]
    others = np.arange(len(logs)) != climbed.reference
    return Noise.of((logs - logs[climbed.reference])[others])


def _detectable(noise: Noise, workloads: Sequence[int]) -> Detectable:
    variances = noise.variance[list(workloads)]
    known = len(variances) and np.isfinite(variances).all()
    return Detectable(
        noise=float(np.sqrt(variances.sum()) / len(variances)) if known else None,
        freedom=int(noise.freedom[list(workloads)].sum()),
        smallest={studies: _smallest(variances, studies) for studies in STUDIES},
    )


def _smallest(variances: Array, studies: int) -> float | None:
    """The smallest speed-up that so many studies tell from 1 with a probability of 80 %, from the variances [W] of
    single studies: the sum of the two quantiles of Student's t, in standard errors of the mean over workloads."""
    if studies < 2 or not len(variances) or not np.isfinite(variances).all():
        return None
    error = np.sqrt(variances.sum() / studies) / len(variances)
    squares = (variances**2).sum()
    freedom = variances.sum() ** 2 * (studies - 1) / squares if squares > 0 else 1.0
    return float(np.exp((stdtrit(freedom, 0.5 + SURE / 2) + stdtrit(freedom, POWER)) * error))

"""The noise of studies, and the smallest speed-up that so many of them detect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.ladder import Ladder, climb
from scoring.paired import Noise, detectable, noise_over
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
    noise = noise_over(climbed.on[query.by], climbed.reference)
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
    noise = noise_over(climbed.on[by], climbed.reference)
    measured = np.isfinite(climbed.on[by]).any(axis=(0, 2))
    return _smallest(noise.variance[measured], studies)


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
    single studies."""
    if studies < 2 or not len(variances) or not np.isfinite(variances).all():
        return None
    error = np.sqrt(variances.sum(keepdims=True) / studies) / len(variances)
    squares = (variances**2).sum()
    freedom = variances.sum(keepdims=True) ** 2 * (studies - 1) / squares if squares > 0 else np.ones(1)
    return float(np.exp(detectable(error, freedom)[0]))

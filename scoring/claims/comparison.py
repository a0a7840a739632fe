"""A claim and the measured speed-up of one submission over another.

The speed-up on a workload is time(baseline) / time(algorithm), medians over studies, cut to [1/4, 4] as scores
are: a miss of the algorithm is a quarter, one of the baseline four. Where both miss, or one is not made for the
workload, there is none. Over all workloads it is the geometric mean of those. Intervals are 95 % of a bootstrap
over the studies of both, as on the board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from scoring import times
from scoring.bootstrap import draw_medians, interval
from scoring.scores import CUT, Array
from scoring.selection import Selection

LEVEL = 0.8
"""A claim to be level with the baseline holds where this speed-up or more is sure."""

SETS = {"tuned": "", "literature": "@literature"}
"""The sets of defaults, and what is behind a submission's name on the board for each."""

_DRAWS = 2000


class Expects(StrEnum):
    """What a claim lets one expect of times to target."""

    FASTER = "faster"
    LEVEL = "level"
    NOTHING = "nothing"


class Verdict(StrEnum):
    HELD_UP = "held up"
    DID_NOT = "did not hold up"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper claims of the submission `name` against another one. `state_bytes` a parameter, if measured."""

    name: str
    about: str
    paper: str
    variant: str
    claim: str
    against: str
    expects: Expects
    state_bytes: float | None


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """A speed-up with its 95 % interval, each in [1/4, 4]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A claim under one set of defaults: by workload, over all, and over all with steps in place of time; None
    where there is none. `studies`: the fewest of either submission on a workload."""

    workloads: Mapping[str, Speedup | None]
    overall: Speedup | None
    in_steps: Speedup | None
    studies: int

    def verdict(self, expects: Expects) -> Verdict | None:
        """Whether the interval lies on one side of what the claim lets expect; None where nothing was measured."""
        if self.overall is None or expects is Expects.NOTHING:
            return None
        bound = 1.0 if expects is Expects.FASTER else LEVEL
        if self.overall.low > bound:
            return Verdict.HELD_UP
        return Verdict.DID_NOT if self.overall.high < bound else Verdict.CANNOT_TELL


def compare(chosen: Selection, name: str, against: str) -> Comparison | None:
    """The speed-ups of one submission over another; None where either has no trials."""
    if name not in chosen.submissions or against not in chosen.submissions:
        return None
    results = times.collect(chosen.trials, (name, against), chosen.workloads, "time")
    measured = [not any(no_result(chosen, s, w) for s in (name, against)) for w in chosen.workloads]

    def gains(studies: Array) -> tuple[Array, Array]:
        drawn = np.concatenate(list(draw_medians(studies, (name, against), chosen.workloads, seed=0, draws=_DRAWS)))
        values, samples = (np.where(measured, _gains(m), np.nan) for m in (times.median(studies), drawn))
        return values, samples

    values, samples = gains(results.time_s)
    return Comparison(
        workloads={w: _speedup(values[i], samples[:, i]) for i, w in enumerate(chosen.workloads)},
        overall=_overall(values, samples),
        in_steps=_overall(*gains(results.steps)),
        studies=int((~np.isnan(results.time_s)).sum(axis=-1)[:, measured].min(initial=results.time_s.shape[-1])),
    )


def _gains(medians: Array) -> Array:
    """Logarithms of the speed-ups [..., W] from medians [..., 2, W], NaN where both missed."""
    own, other = medians[..., 0, :], medians[..., 1, :]
    both = np.isinf(own) & np.isinf(other)
    ratio = np.where(np.isinf(own), 1 / CUT, np.where(np.isinf(other), CUT, 1.0))
    finite = np.isfinite(own) & np.isfinite(other)
    ratio = np.divide(other, own, out=ratio, where=finite)
    return np.where(both, np.nan, np.log(np.clip(ratio, 1 / CUT, CUT)))


def _overall(values: Array, samples: Array) -> Speedup | None:
    """The geometric mean over workloads, from logarithms [W] and those of the draws [draws, W]."""
    if not np.isfinite(values).any():
        return None
    measured = np.isfinite(samples)
    kept = measured.any(axis=-1)
    means = np.where(measured, samples, 0.0)[kept].sum(axis=-1) / measured[kept].sum(axis=-1)
    return _speedup(float(np.nanmean(values)), means)


def _speedup(value: float, samples: Array) -> Speedup | None:
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return None
    low, high = np.exp(interval(samples[:, None]))
    return Speedup(value=float(np.exp(value)), low=float(low[0]), high=float(high[0]))


def no_result(chosen: Selection, submission: str, workload: str) -> str | None:
    """Why a submission has no result on a workload, "not run" or "n/a"; None where it has one."""
    if (submission, workload) not in chosen.trials:
        return "not run"
    return "n/a" if chosen.reason(submission, workload) else None

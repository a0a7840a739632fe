"""Do easier levels foretell what happens at the target? On whole curves, which went on after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.ladder.curves import AXES, Curves
from scoring.ladder.levels import ways
from scoring.records.curve import Curve
from scoring.scores import Array

SHARES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
_ALIKE = 1e-12
LADDER_BELOW = 0.85
"""The hardest level of the ladder that is to foretell the target."""


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """How the logarithms of speed-ups at a level, at a share of the reference's way, foretell those at the target,
    over `pairs` trials. `bias`: the mean of level less target. `error`: its standard deviation. `correlation`:
    Pearson's, None where all are alike. `share` None stands for the mean over the ladder's levels up to 0.85."""

    share: float | None
    pairs: int
    bias: float
    error: float
    correlation: float | None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Whole curves on one workload: those of the reference and of others, and the target."""

    reference: Sequence[Curve]
    others: Sequence[Curve]
    target: float
    higher_is_better: bool


def foretold(workloads: Sequence[Runs]) -> list[Foretold]:
    """For each share, over all trials of all workloads that reach the target, in steps.

    Each workload's mean speed-up is taken off first: what remains is how trials on one workload differ. Raises
    ValueError where fewer than three trials reach a target.
    """
    found = np.concatenate([_centred(_speedups(runs)) for runs in workloads])
    if len(found) < 3:
        raise ValueError(f"{len(found)} trials reach a target, expected 3 or more")
    raw = np.concatenate([_speedups(runs) for runs in workloads])
    rungs = [i for i, share in enumerate(SHARES) if 0.5 <= share <= LADDER_BELOW]
    columns = [([i], share) for i, share in enumerate(SHARES)] + [(rungs, None)]
    rows = []
    for indices, share in columns:
        level, centred = raw[:, indices].mean(axis=1), found[:, indices].mean(axis=1)
        apart, alike = level - raw[:, -1], min(centred.std(), found[:, -1].std()) < _ALIKE
        rows.append(
            Foretold(
                share=share,
                pairs=len(raw),
                bias=float(apart.mean()),
                error=float(apart.std(ddof=1)),
                correlation=None if alike else float(np.corrcoef(centred, found[:, -1])[0, 1]),
            )
        )
    return rows


def _speedups(runs: Runs) -> Array:
    """Logarithms of speed-ups in steps at each share and at the target, [T, F + 1], of those that reach it."""
    sign = 1.0 if runs.higher_is_better else -1.0
    reference = Curves.of(runs.reference, higher_is_better=runs.higher_is_better)
    others = Curves.of(runs.others, higher_is_better=runs.higher_is_better)
    target = sign * runs.target
    on_the_way = reference.values_at(np.array(SHARES), ways(reference, target))
    levels = np.minimum(np.maximum.accumulate(np.append(np.median(on_the_way, axis=0), target)), target)
    axis = AXES["steps"]
    theirs = others.crossings(levels)[..., axis]
    theirs = theirs[np.isfinite(theirs[:, -1])]
    marks = reference.crossings(levels)[..., axis]
    marks = np.where(np.isfinite(marks), marks, reference.ends[:, axis][:, None])
    return np.log(marks).mean(axis=0) - np.log(theirs)


def _centred(logs: Array) -> Array:
    return logs - logs.mean(axis=0) if len(logs) else logs

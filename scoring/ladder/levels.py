"""The levels of a workload, from the reference's own curves."""

from __future__ import annotations

import numpy as np

from scoring.ladder.curves import AXES, Curves
from scoring.scores import Array

SHARES = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
"""Where the levels are on the reference's way, in steps. Easier ones tell little of the target."""

_EARLY = 0.1
_PLATEAU = 0.02
"""A study without a target to reach is on its way until what is left to gain is 2 % of what it gained since a tenth
of its run: after that, on the plateau, the least noise in a value is a long time (docs/reliability.md)."""


def levels_of(reference: Curves, target: float | None) -> Array:
    """The levels [L], from easy to hard, of studies of the reference that have values; higher is better in all.

    A study's way is that to the target, or where it misses or has none, that to its plateau. A level is the median
    over studies of the values at a share of the way, never harder than the target. Of curves that begin late, as
    those of an old archive, the last level alone is known.
    """
    lengths = ways(reference, target)
    values = np.median(reference.values_at(SHARES, lengths), axis=0)
    known = SHARES * np.median(lengths) >= np.median(reference.at[:, 0, AXES["steps"]])
    known[-1] = True
    values = np.maximum.accumulate(values[known])
    return values if target is None else np.minimum(values, target)


def ways(curves: Curves, target: float | None) -> Array:
    """The lengths of the studies' ways [T] in steps."""
    ends = curves.ends[:, AXES["steps"]]
    early = curves.values_at(np.array([_EARLY]), ends)[:, 0]
    to_plateau = _steps_to(curves, curves.finals - _PLATEAU * (curves.finals - early))
    if target is None:
        return to_plateau
    to_target = _steps_to(curves, np.full(len(ends), target))
    return np.where(np.isfinite(to_target), to_target, to_plateau)


def _steps_to(curves: Curves, values: Array) -> Array:
    """The steps [T] at which each curve comes to a value of its own."""
    return np.diagonal(curves.crossings(values)[..., AXES["steps"]])

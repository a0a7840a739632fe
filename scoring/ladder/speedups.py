"""How much sooner trials come to the levels than the reference does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scoring.ladder.curves import Curves
from scoring.scores import CUT, Array

FLOOR = -np.log(CUT)
"""The logarithm of the least speed-up that a level gives, and what a trial has that counts as nothing."""


def log_speedups(
    trials: Curves, reference: Curves, levels: Array, *, ended: NDArray[np.bool_], void: NDArray[np.bool_]
) -> Array:
    """Logarithms of the ladder speed-ups of T trials on the three axes, [T, 3]: means over `levels` [L].

    At a level that a trial reaches, the speed-up is the reference's crossing, a geometric mean over its studies,
    over the trial's own. At one that it does not reach, it is the reference's crossing of the best value that the
    trial did reach, over all that the trial took, and never above 1. Each is cut to [1/4, 4].

    `ended` [T]: whether the trial would have got no further, as it broke off by itself. Such a trial took at least
    what the reference takes to the level: else whoever gives up early would be as fast as the reference. `void`
    [T]: trials that count as nothing, 1/4 at every level. A study of the reference that does not come to a level
    is taken to reach it at its end.
    """
    own = trials.crossings(levels)
    marks = _mean_log(reference, levels)
    with np.errstate(divide="ignore"):
        gains = np.clip(marks - np.log(own), FLOOR, -FLOOR)
    taken = np.broadcast_to(np.log(trials.ends)[:, None, :], own.shape)
    taken = np.where(ended[:, None, None], np.maximum(taken, marks), taken)
    behind = np.clip(_mean_log(reference, trials.finals)[:, None, :] - taken, FLOOR, 0.0)
    logs = np.where(np.isfinite(own), gains, behind).mean(axis=1)
    logs[void | ~np.isfinite(trials.finals)] = FLOOR
    return logs


def _mean_log(reference: Curves, values: Array) -> Array:
    """The logarithms of the reference's crossings of V values, means over its studies: [V, 3]."""
    found = reference.crossings(values)
    return np.log(np.where(np.isfinite(found), found, reference.ends[:, None, :])).mean(axis=0)

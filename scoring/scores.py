"""The rules that turn times into scores, as pure functions of arrays.

Values are seconds, steps or examples to the target: positive, and inf for a miss. Arrays are [..., S, W] for S
submissions and W workloads; leading axes (bootstrap draws) pass through. Nothing here divides inf by inf, so
NaN cannot arise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CUT = 4.0  # a submission this many times slower than the mark earns nothing
_GRID = np.linspace(1.0, CUT, 100)  # where AlgoPerf's published numbers look at a performance profile


def ratios(values: Array, marks: Array) -> Array:
    """values [..., S, W] / marks [..., W], the mark of each workload: inf for a miss or where the mark is inf."""
    reached = np.isfinite(marks)
    return np.where(reached, 1.0, np.inf)[..., None, :] * (values / np.where(reached, marks, 1.0)[..., None, :])


def anchored(values: Array, *, reference: int | None, budget: Array) -> Array:
    """Credit log(4 / r) / log(16), clipped to [0, 1], and 0 for a miss; r is the ratio to the reference.

    0.5 is level with the reference, 1 four times faster, 0 four times slower. A submission's credit depends on its
    own values and the reference's only. values [..., S, W]; `reference` is the reference's row among the S, None
    where it has no trials; where it misses, `budget` [W], the least that it can have needed, stands for its value
    (it still earns 0 for the miss).
    """
    r = ratios(values, reference_marks(values, reference=reference, budget=budget))
    with np.errstate(divide="ignore"):  # a miss: log(4 / inf) is -inf, which the clip makes 0
        return np.clip(np.log(CUT / r) / np.log(CUT**2), 0.0, 1.0)


def reference_marks(values: Array, *, reference: int | None, budget: Array) -> Array:
    """What ratios to the reference divide by [..., W]: its own values, its budget where it misses."""
    if reference is None:
        return np.broadcast_to(budget, values.shape[:-2] + values.shape[-1:])
    own = values[..., reference, :]
    return np.where(np.isfinite(own), own, budget)


def exact_area(r: Array) -> Array:
    """(4 - min(r, 4)) / 3: what one workload with ratio r adds to the integral of a performance profile on [1, 4],
    over 3."""
    return (CUT - np.minimum(r, CUT)) / (CUT - 1.0)


def published_area(r: Array) -> Array:
    """The same by the trapezoid rule on 100 points, as AlgoPerf's published numbers are made.

    The step from 0 to 1 at r becomes a ramp between the two points around it, so a ratio of just above 1 costs half
    an interval.
    """
    reached = len(_GRID) - np.searchsorted(_GRID, r)  # points at which the workload counts as solved
    ends = np.where(r <= 1.0, 1.0, 0.5)  # the last point weighs half, and so does the first where it counts
    return np.maximum(reached - ends, 0.0) / (len(_GRID) - 1)


def algoperf(
    values: Array,
    *,
    held_out: Mapping[int, int] = MappingProxyType({}),
    area: Callable[[Array], Array] = exact_area,
) -> Array:
    """Credit on base workloads: the area that the ratio to the fastest submission earns, 0 where nobody reached it.

    Its mean over workloads is the integral of the performance profile on [1, 4], divided by 3. values [..., S, W],
    result [..., S, B]; `held_out` as in `counted`. (Dahl et al. 2023, arXiv:2306.07179, section 4.)
    """
    left = counted(values, held_out)
    return area(ratios(left, left.min(axis=-2)))


def counted(values: Array, held_out: Mapping[int, int]) -> Array:
    """The values that count on base workloads once those on held-out ones are weighed: [..., S, W] to [..., S, B].

    `held_out`: the column of each held-out workload, and that of its base. A held-out value counts only where its
    base was reached. Then what is above 4 x the fastest of its workload becomes a miss, and then a base value does
    whose held-out one is a miss.
    """
    if not held_out:
        return values
    left = values.copy()
    for own, base in held_out.items():
        left[..., own] = np.where(np.isfinite(values[..., base]), values[..., own], np.inf)
    left = np.where(left > CUT * left.min(axis=-2, keepdims=True), np.inf, left)
    for own, base in held_out.items():
        left[..., base] = np.where(np.isfinite(left[..., own]), left[..., base], np.inf)
    return left[..., bases(values.shape[-1], held_out)]


def bases(workloads: int, held_out: Mapping[int, int]) -> list[int]:
    """The columns, of so many, that are not held out."""
    return [w for w in range(workloads) if w not in held_out]


def score(credit: Array) -> Array:
    """The mean over workloads of credit [..., S, W]: [..., S]. Rounded to 12 digits, so that ties are ties."""
    return credit.mean(axis=-1).round(12)


def speedup(values: Array, reference: Array) -> Array:
    """Geometric mean of reference [W] / values [S, W] over the workloads that both reached: [S], NaN for none."""
    both = np.isfinite(values) & np.isfinite(reference)
    gain = np.log(np.where(both, reference, 1.0)) - np.log(np.where(both, values, 1.0))
    count = both.sum(axis=-1)
    return np.where(count > 0, np.exp(gain.sum(axis=-1) / np.maximum(count, 1)), np.nan)


def profile(r: Array, taus: Array) -> Array:
    """Performance profile (Dolan & Moré 2002): share of workloads with ratio <= tau. r [S, W], taus [T]: [S, T]."""
    ordered = np.sort(r, axis=-1)
    return np.stack([np.searchsorted(row, taus, side="right") for row in ordered]) / r.shape[-1]


def profile_corners(r: Array, end: float = CUT) -> tuple[tuple[float, float], ...]:
    """The same for one submission as an exact step function: (tau, share) where it steps up, tau in [1, end].

    r [W], ratios to the fastest (>= 1). The share holds from its tau to the next pair's, and is 0 before the first.
    """
    taus, counts = np.unique(r[r <= end], return_counts=True)
    return tuple((float(t), float(c)) for t, c in zip(taus, counts.cumsum() / r.size, strict=True))

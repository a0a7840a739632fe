"""The learning curves of many trials as arrays, and when each comes to a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.records.curve import COLUMNS, Curve
from scoring.scores import Array

AXES = {"time": COLUMNS.index("time_s"), "steps": COLUMNS.index("step"), "examples": COLUMNS.index("examples")}
"""Where each axis is among the three of an array, in the order in which curves have them."""

_BEST = COLUMNS.index("best")
_LEAST = 1e-9  # a level met before the first step: 0 has no ratio to anything


@dataclass(frozen=True, kw_only=True)
class Curves:
    """T curves of one metric, each filled up with its end to E evaluations.

    `at` [T, E, 3]: steps, examples and seconds of the evaluations. `best` [T, E]: best values so far, turned so
    that higher is better; minus infinity where there is none.
    """

    at: Array
    best: Array

    @classmethod
    def of(cls, curves: Sequence[Curve], *, higher_is_better: bool) -> Curves:
        """These curves. One without an evaluation has a single one, at 0 and without a value."""
        most = max([1, *(len(curve) for curve in curves)])
        table = np.zeros((len(curves), most, len(COLUMNS)))
        table[..., _BEST] = np.nan
        for row, curve in zip(table, curves, strict=True):
            if count := len(curve):
                row[:count] = curve.table()
                row[count:] = row[count - 1]
        best = table[..., _BEST] if higher_is_better else -table[..., _BEST]
        return cls(
            at=np.maximum(table[..., :_BEST], _LEAST),
            best=np.where(np.isnan(best), -np.inf, best),
        )

    def with_values(self) -> Curves:
        """Those curves that have a value."""
        kept = np.isfinite(self.finals)
        return Curves(at=self.at[kept], best=self.best[kept])

    @property
    def ends(self) -> Array:
        """Steps, examples and seconds of the last evaluations, [T, 3]."""
        return self.at[:, -1]

    @property
    def finals(self) -> Array:
        """The best value of each trial, [T]."""
        return self.best[:, -1]

    def crossings(self, levels: Array) -> Array:
        """When each curve comes to each of L levels, in steps, examples and seconds: [T, L, 3], inf for never.

        Between the two evaluations around a level the best value so far is taken for a straight line. A level that
        the first evaluation meets is reached there.
        """
        found = np.full((len(self.best), len(levels), self.at.shape[-1]), np.inf)
        rows, last = np.arange(len(self.best)), self.best.shape[1] - 1
        for index, level in enumerate(levels):
            after = (self.best < level).sum(axis=1)
            reached = after <= last
            after, before = np.minimum(after, last), np.clip(after - 1, 0, last)
            low, high = self.best[rows, before], self.best[rows, after]
            apart = reached & (after > 0) & np.isfinite(low)
            gain = np.where(apart, high, 1.0) - np.where(apart, low, 0.0)
            share = np.where(apart, (level - np.where(apart, low, 0.0)) / gain, 1.0)
            start, end = self.at[rows, before], self.at[rows, after]
            found[reached, index] = (start + share[:, None] * (end - start))[reached]
        return found

    def values_at(self, shares: Array, ends: Array) -> Array:
        """The best values [T, F] at `shares` [F] of the way to `ends` [T] in steps, by a straight line between
        evaluations."""
        steps = self.at[..., AXES["steps"]]
        return np.stack(
            [np.interp(shares * end, at, best) for at, best, end in zip(steps, self.best, ends, strict=True)]
        )

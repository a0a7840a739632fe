"""How sure a board is of its scores and of its order: by resamples of medians, or by paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from scoring.bootstrap import interval, p_ahead
from scoring.paired import Differences, Noise, noise_over
from scoring.scores import Array

TIED_BELOW = 0.95


class Certainty(Protocol):
    """What is known of the scores of S submissions."""

    def intervals(self) -> tuple[Array, Array]:
        """95 % intervals of the scores: (low [S], high [S]), NaN where they cannot be told."""
        ...

    def p_ahead(self, first: int, second: int) -> float:
        """How probably the score of one submission is above that of another."""
        ...


@dataclass(frozen=True)
class Resampled:
    """From the scores of resamples, [draws, S], in which the studies of all submissions are drawn together."""

    drawn: Array

    def intervals(self) -> tuple[Array, Array]:
        """Central percentile intervals."""
        return interval(self.drawn)

    def p_ahead(self, first: int, second: int) -> float:
        """The share of the resamples, ties counted half."""
        return p_ahead(self.drawn[:, first], self.drawn[:, second])


@dataclass(frozen=True)
class Paired:
    """From logarithms of speed-ups [S, W, K] and the reference's row: scores are speed-ups over it."""

    logs: Array
    reference: int

    @cached_property
    def over_reference(self) -> Differences:
        """The differences to the reference, [S]."""
        return Differences.of(self.logs - self.logs[self.reference], self.noise)

    @cached_property
    def noise(self) -> Noise:
        """What is known of the variance of a difference, from all of those to the reference."""
        return noise_over(self.logs, self.reference)

    def between(self, first: int, second: int) -> Differences:
        """The difference of two submissions, [1]."""
        return Differences.of((self.logs[first] - self.logs[second])[None], self.noise)

    def intervals(self) -> tuple[Array, Array]:
        """Intervals of the speed-ups over the reference, whose own is [1, 1]."""
        low, high = self.over_reference.interval()
        return np.exp(low), np.exp(high)

    def p_ahead(self, first: int, second: int) -> float:
        """By Student's t from the differences of the studies that both have."""
        return float(self.between(first, second).p_ahead()[0])


def tie_groups(certainty: Certainty, order: Sequence[int]) -> list[int]:
    """Numbers from 1 for the submissions in the board's order.

    A row joins the group above while the probability that the group's first row is ahead of it is below 0.95.
    """
    groups: list[int] = []
    first = 0
    for row, submission in enumerate(order):
        if row and certainty.p_ahead(order[first], submission) >= TIED_BELOW:
            first = row
        groups.append(groups[-1] + (first == row) if groups else 1)
    return groups

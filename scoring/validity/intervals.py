"""Do intervals hold what they say? Small boards drawn from many studies of the same submissions.

*Coverage*: a board of a few studies is drawn, and its interval of a difference looked at: does it hold the
difference that all studies give? *False alarms*: two sets of studies of one submission are taken for two
submissions. How often does the board call one of them better?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from scoring.ladder import Ladder
from scoring.names import Axis
from scoring.paired import Differences
from scoring.scores import Array

DRAWS = 2000

_MOST_OF = 0.9
"""A submission with fewer than so much of the most studies is left out: its few would be all that are in common."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of draws, as counted."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.of

    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of a binomial share (Clopper & Pearson 1934); too narrow, as draws overlap."""
        found = binomtest(self.count, self.of).proportion_ci(0.95)
        return float(found.low), float(found.high)


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Of boards of `studies` studies: the share of 95 % intervals of differences that hold the difference of all
    `of_studies`, and the share of copies that are called different."""

    studies: int
    of_studies: int
    coverage: Share
    false_alarms: Share


def validity(climbed: Ladder, by: Axis, studies: int, *, draws: int = DRAWS, seed: int = 0) -> Validity:
    """How often boards of so many studies are right. Raises ValueError for fewer than twice as many studies."""
    logs, _ = complete(climbed, by)
    total = logs.shape[-1]
    if total < 2 * studies:
        raise ValueError(f"{total} studies are complete, expected {2 * studies} for boards of {studies}")
    stream = np.random.default_rng(seed)
    held = [_holds(first - second, stream, studies, draws) for first, second in combinations(logs, 2)]
    alarms = [_alarms(own, stream, studies, draws) for own in logs]
    return Validity(
        studies=studies,
        of_studies=total,
        coverage=Share(count=sum(held), of=draws * len(held)),
        false_alarms=Share(count=sum(alarms), of=draws * len(alarms)),
    )


def complete(climbed: Ladder, by: Axis) -> tuple[Array, tuple[int, ...]]:
    """The logarithms [S', W', K'] of the submissions that have the most studies on all workloads with levels, in
    those studies that they all have, and the rows S' of these submissions."""
    logs = climbed.on[by]
    logs = logs[:, np.isfinite(logs).any(axis=(0, 2))]
    whole = np.isfinite(logs).all(axis=1)  # [S, K]
    counts = whole.sum(axis=1)
    rows = np.flatnonzero(counts >= _MOST_OF * counts.max())
    return logs[rows][..., whole[rows].all(axis=0)], tuple(rows.tolist())


def _holds(difference: Array, stream: np.random.Generator, studies: int, draws: int) -> int:
    """How many of the draws have an interval that holds the whole difference [W, K]."""
    truth = difference.mean()
    drawn = _studies(stream, difference.shape[-1], studies, draws)
    low, high = Differences.of(np.moveaxis(difference[:, drawn], 1, 0)).interval()
    return int(((low <= truth) & (truth <= high)).sum())


def _alarms(own: Array, stream: np.random.Generator, studies: int, draws: int) -> int:
    """How many of the draws call two sets of studies of one submission [W, K] different."""
    drawn = _studies(stream, own.shape[-1], 2 * studies, draws)
    first, second = own[:, drawn[:, :studies]], own[:, drawn[:, studies:]]
    low, high = Differences.of(np.moveaxis(first - second, 1, 0)).interval()
    return int(((low > 0) | (high < 0)).sum())


def _studies(stream: np.random.Generator, total: int, size: int, draws: int) -> np.ndarray:
    """So many draws of studies without replacement, [draws, size]."""
    return np.argsort(stream.random((draws, total)), axis=1)[:, :size]


def all_sizes(climbed: Ladder, by: Axis, sizes: tuple[int, ...] = (3, 5, 10)) -> Iterator[Validity]:
    """Those for which there are studies enough."""
    total = complete(climbed, by)[0].shape[-1]
    yield from (validity(climbed, by, size) for size in sizes if total >= 2 * size)

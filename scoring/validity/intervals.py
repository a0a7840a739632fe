"""Do intervals hold what they say? Small boards drawn from many studies of the same submissions.

*Coverage*: a board of a few studies is drawn, and its interval of a difference looked at: does it hold the
difference that all studies give? These are among them, which brings the two closer together by the square root of
the share of the studies that was not drawn (finite population correction: Cochran 1977, Sampling Techniques,
section 2.6); they are taken to be as far apart as they would be otherwise. *False alarms*: the studies of one
submission are taken for those of two. How often does the board call one of them better? Of two neighbouring studies
each copy gets one, drawn by lot: studies of two submissions with one number run at about the same time, as these
two did, and what slows a machine for a while slows both.
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
    whole = np.asarray(np.isfinite(logs).all(axis=1))  # [S, K]
    counts = whole.sum(axis=1)
    rows = np.flatnonzero(counts >= _MOST_OF * counts.max())
    return logs[rows][..., whole[rows].all(axis=0)], tuple(rows.tolist())


def _holds(difference: Array, stream: np.random.Generator, studies: int, draws: int) -> int:
    """How many of the draws have an interval that holds the whole difference [W, K]."""
    truth = difference.mean()
    drawn = _studies(stream, difference.shape[-1], studies, draws)
    own = Differences.of(np.moveaxis(difference[:, drawn], 1, 0))
    low, high = own.interval()
    off = np.abs(own.value - truth) / np.sqrt(1 - studies / difference.shape[-1])
    return int(np.sum(off <= (high - low) / 2))


def _alarms(own: Array, stream: np.random.Generator, studies: int, draws: int) -> int:
    """How many of the draws call two sets of studies of one submission [W, K] different."""
    first, second = neighbours(own)
    apart: Array = first - second
    drawn = _studies(stream, apart.shape[-1], studies, draws)
    turned = stream.choice([-1.0, 1.0], size=drawn.shape)
    low, high = Differences.of(np.moveaxis(apart[:, drawn] * turned, 1, 0)).interval()
    return int(((low > 0) | (high < 0)).sum())


def neighbours(logs: Array) -> tuple[Array, Array]:
    """The studies of even numbers and those that follow them, of logarithms [..., K]: both [..., K // 2]."""
    half = logs.shape[-1] // 2
    return logs[..., 0 : 2 * half : 2], logs[..., 1 : 2 * half : 2]


def _studies(stream: np.random.Generator, total: int, size: int, draws: int) -> np.ndarray:
    """So many draws of studies without replacement, [draws, size]."""
    return np.argsort(stream.random((draws, total)), axis=1)[:, :size]


def all_sizes(climbed: Ladder, by: Axis, sizes: tuple[int, ...] = (3, 5, 10)) -> Iterator[Validity]:
    """Those for which there are studies enough."""
    total = complete(climbed, by)[0].shape[-1]
    yield from (validity(climbed, by, size) for size in sizes if total >= 2 * size)

"""A test that may be looked at after every study, and is wrong no more often than it says.

Whoever looks at a 95 % interval after each study, and stops at the first that leaves out 0, is wrong far more
often than once in twenty. Here the error that is allowed is spent over the looks: after k studies, where the
first look was after f, the interval is taken at the level 1 - alpha f / (k (k + 1)). The shares of all looks,
without an end, add up to alpha, so that by the union bound the chance that any interval leaves out the truth is
alpha at most (alpha spending: Lan & DeMets 1983, Biometrika 70; intervals that hold at all times: Darling &
Robbins 1967, PNAS 58). It ends with one of the two ahead, or with both equivalent within a margin.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoring.paired import Differences
from scoring.versus import MARGIN, Verdict, judged


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known after so many studies: the interval at this look's `level`, in logarithms, and its verdict."""

    studies: int
    level: float
    low: float
    high: float
    verdict: Verdict


def level_of(studies: int, *, first: int, alpha: float) -> float:
    """The level of the interval after so many studies, where `first` of them made the first look.

    Raises ValueError for a look before the first.
    """
    if not 1 <= first <= studies:
        raise ValueError(f"a look after {studies} studies, expected {max(1, first)} or more")
    return 1.0 - alpha * first / (studies * (studies + 1))


def look(own: Differences, *, studies: int, first: int, alpha: float = 0.05, margin: float = MARGIN) -> Look:
    """The look at a difference [1] after so many studies."""
    level = level_of(studies, first=first, alpha=alpha)
    low, high = (float(end[0]) for end in own.interval(level))
    return Look(studies=studies, level=level, low=low, high=high, verdict=judged(low, high, margin))

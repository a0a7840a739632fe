"""How sure a score of medians is: a bootstrap over studies, which are drawn for all submissions together.

Each draw resamples, with replacement, the studies of a workload, takes the medians again and scores them. Study k
of every submission has the same initial weights and the same order of data, so a draw takes the same studies of
all: what is common to them cancels in their differences. The reference is resampled like the others, and a draw's
reference is the same for all its ratios, so its own anchored score is exactly 0.5 in every draw in which it reaches
all targets: its interval is then [0.5, 0.5], and the doubt about its times is in the intervals of the others.

With few studies a bootstrap is optimistic: three studies have only ten different resamples, none of which holds a
time outside the three seen, and one study has an interval of width 0. Read intervals from fewer than five as a
lower bound on the doubt.

A score relative to the fastest submission has a bias besides: among many entrants, some submission is lucky in
every draw, so the mark moves down and intervals of the AlgoPerf score lie mostly below the score.
Anchored ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.scores import Array, score
from scoring.times import median

CHUNK = 1_000_000  # (draw, submission, workload) triples at a time: some 50 MB


def draw_scores(
    studies: Array, workloads: Sequence[str], credit: Callable[[Array], Array], *, seed: int, draws: int
) -> Array:
    """Scores of `draws` resamples: [draws, S], from study results [S, W, K] (inf a miss, NaN no such study).

    `credit` maps medians [..., S, W] to credits [..., S, B] on the workloads that the score is over.
    """
    parts = draw_medians(studies, workloads, seed=seed, draws=draws)
    return np.concatenate([score(credit(part)) for part in parts])


def draw_medians(studies: Array, workloads: Sequence[str], *, seed: int, draws: int) -> Iterator[Array]:
    """The medians of `draws` resamples in parts [n, S, W] of some 50 MB, from study results [S, W, K].

    Submissions with as many studies on a workload share its draws, which come from a random stream made from
    `seed`, the workload's name and the number of studies: what else is on the board, and in which order, changes
    nothing.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}, expected 1 or more")
    counts = (~np.isnan(studies)).sum(axis=-1)
    # Of each submission the studies that are there, in order, come first.
    first = np.argsort(np.isnan(studies), axis=-1, kind="stable")
    there = np.take_along_axis(studies, first, axis=-1)
    # By workload and number of studies: which submissions these are, the medians of each different resample,
    # [s, P], and which of those each draw has, [draws].
    groups = []
    for w, name in enumerate(workloads):
        for n in np.unique(counts[:, w][counts[:, w] > 0]):
            rows = np.flatnonzero(counts[:, w] == n)
            resamples, drawn = _resamples(_stream(seed, name, int(n)), int(n), draws)
            groups.append((w, rows, _medians(there[rows, w, :n], resamples), drawn))
    size = max(1, CHUNK // max(1, counts.size))
    for start in range(0, draws, size):
        part = np.full((min(size, draws - start), *counts.shape), np.inf)  # no studies: a miss in every draw
        for w, rows, medians, drawn in groups:
            part[:, rows, w] = medians[:, drawn[start : start + size]].T
        yield part


def _stream(seed: int, workload: str, studies: int) -> np.random.Generator:
    return np.random.default_rng([seed, studies, *workload.encode("utf-8", "surrogatepass")])


def _resamples(stream: np.random.Generator, n: int, draws: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The different resamples of n studies among so many draws, [P, n], and which of them each draw is, [draws].
    There are few, of five studies 126, so that medians are taken once of each."""
    resamples, drawn = np.unique(np.sort(stream.integers(n, size=(draws, n)), axis=1), axis=0, return_inverse=True)
    return resamples, drawn.reshape(-1)


def _medians(studies: Array, resamples: NDArray[np.intp]) -> Array:
    """The medians [s, P] of resamples [P, n] of the studies of s submissions, [s, n]."""
    size = max(1, CHUNK // resamples.size)
    parts = [median(studies[start : start + size][:, resamples]) for start in range(0, len(studies), size)]
    return np.concatenate(parts)


def interval(scores: Array, share: float = 0.95) -> tuple[Array, Array]:
    """The central percentile interval of scores [draws, S]: (low [S], high [S])."""
    tail = 50.0 * (1.0 - share)
    low, high = np.percentile(scores, [tail, 100.0 - tail], axis=0)
    return low, high


def p_ahead(first: Array, second: Array) -> float:
    """How probably one score is above another, from paired draws [draws]; ties count half."""
    return float(np.mean(first > second) + 0.5 * np.mean(first == second))

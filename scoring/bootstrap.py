"""How sure a score is: a stratified bootstrap over studies.

Each draw resamples, with replacement, the studies of every (submission, workload), takes the medians again and
scores them. The reference is resampled like the others, and a draw's reference is the same for all its ratios, so
its own anchored score is exactly 0.5 in every draw in which it reaches all targets: its interval is then
[0.5, 0.5], and the doubt about its times is in the intervals of the others.

With few studies a bootstrap is optimistic: three studies have only ten different resamples, none of which holds a
time outside the three seen, and one study has an interval of width 0. Read intervals from fewer than five as a
lower bound on the doubt.

A score relative to the fastest submission has a bias besides: among many entrants, some submission is lucky in
every draw, so the mark moves down and intervals of the AlgoPerf score lie mostly below the score.
Anchored ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from scoring.scores import Array, score

CHUNK = 1_000_000  # (draw, submission, workload) triples at a time: some 50 MB
TIED_BELOW = 0.95
_NO_BYTE = 256  # ends a name in a seed


def median_law(n: int) -> tuple[np.ndarray, np.ndarray, Array]:
    """The distribution of the median of a resample of n sorted values: (low, high, p), each [P].

    With probability p the median is the mean of the values at indices low and high (from 0; the same one where n
    is odd). Drawing from it replaces drawing n values and sorting them. With k of n draws at or below index j being
    binomial(n, (j + 1) / n), the m-th smallest draw is at or below index j with probability P(k >= m); for even n,
    the two middle draws are at i < j when n / 2 draws have their largest at i and the others their smallest at j.
    """
    below = [j / n for j in range(n + 1)]
    m = (n + 1) // 2
    at_most = [sum(comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(m, n + 1)) for q in below]
    middle = [after - before for before, after in pairwise(at_most)]
    if n % 2:
        return np.arange(n), np.arange(n), np.array(middle)
    apart = {
        (i, j): comb(n, m) * (below[i + 1] ** m - below[i] ** m) * (below[n - j] ** m - below[n - j - 1] ** m)
        for i in range(n)
        for j in range(i + 1, n)
    }
    same = {(i, i): middle[i] - sum(p for (low, _), p in apart.items() if low == i) for i in range(n)}
    law = apart | same
    low, high = np.array(list(law)).T
    return low, high, np.maximum(np.array(list(law.values())), 0.0)


def draw_scores(
    studies: Array,
    names: Sequence[str],
    workloads: Sequence[str],
    credit: Callable[[Array], Array],
    *,
    seed: int,
    draws: int,
) -> Array:
    """Scores of `draws` resamples: [draws, S], from study results [S, W, K] (inf a miss, NaN no such study).

    `credit` maps medians [..., S, W] to credits [..., S, B] on the workloads that the score is over.
    """
    parts = draw_medians(studies, names, workloads, seed=seed, draws=draws)
    return np.concatenate([score(credit(part)) for part in parts])


def draw_medians(
    studies: Array, names: Sequence[str], workloads: Sequence[str], *, seed: int, draws: int
) -> Iterator[Array]:
    """The medians of `draws` resamples in parts [n, S, W] of some 50 MB, from study results [S, W, K].

    Each submission has a random stream of its own on each workload, made from `seed` and their names: what else is
    on the board, and in which order, changes nothing.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}, expected 1 or more")
    medians, cumulative = _medians_by_law(studies)
    drawn_at = np.zeros((len(names), len(workloads), draws), np.uint16)
    counts = (~np.isnan(studies)).sum(axis=-1)
    keys = [[*name.encode("utf-8", "surrogatepass"), _NO_BYTE] for name in workloads]
    uniform = np.empty((len(workloads), draws))
    for s, name in enumerate(names):
        own = [seed, *name.encode("utf-8", "surrogatepass"), _NO_BYTE]
        for w, key in enumerate(keys):
            np.random.default_rng(_words(own + key)).random(out=uniform[w])
        for n in np.unique(counts[s]):
            alike = counts[s] == n
            drawn = uniform if alike.all() else uniform[alike]
            # As np.searchsorted(edges, drawn, "right"), in a tenth of the time where edges are few.
            drawn_at[s, alike] = sum(drawn >= edge for edge in cumulative[int(n)])
    cells = len(names) * len(workloads)
    offsets = np.arange(cells).reshape(len(names), len(workloads)) * medians.shape[-1]
    size = max(1, CHUNK // cells)
    for start in range(0, draws, size):
        part = np.ascontiguousarray(np.moveaxis(drawn_at[..., start : start + size], -1, 0))
        yield medians.ravel()[offsets + part]


def _words(entropy: list[int]) -> NDArray[np.uint32] | list[int]:
    """The same entropy as 32-bit words, which numpy reads faster, where the seed fits into one."""
    return np.array(entropy, np.uint32) if entropy[0] < 2**32 else entropy


def _medians_by_law(studies: Array) -> tuple[Array, dict[int, Array]]:
    """The medians that resamples can have, [S, W, P], and by number of studies the inner edges of their law."""
    ordered = np.sort(studies, axis=-1)
    counts = (~np.isnan(studies)).sum(axis=-1)
    laws = {int(n): median_law(int(n)) for n in np.unique(counts) if n}
    width = max((len(p) for _, _, p in laws.values()), default=1)
    medians = np.full((*studies.shape[:2], width), np.inf)  # no studies: a miss in every draw
    cumulative = {0: np.empty(0)}
    for n, (low, high, p) in laws.items():
        of_n = counts == n
        medians[of_n, : len(p)] = (ordered[of_n][:, low] + ordered[of_n][:, high]) / 2
        cumulative[n] = p.cumsum()[:-1]
    return medians, cumulative


def interval(scores: Array, share: float = 0.95) -> tuple[Array, Array]:
    """The central percentile interval of scores [draws, S]: (low [S], high [S])."""
    tail = 50.0 * (1.0 - share)
    low, high = np.percentile(scores, [tail, 100.0 - tail], axis=0)
    return low, high


def p_ahead(first: Array, second: Array) -> float:
    """How probably one score is above another, from paired draws [draws]; ties count half."""
    return float(np.mean(first > second) + 0.5 * np.mean(first == second))


def tie_groups(scores: Array) -> list[int]:
    """Numbers from 1 for scores [draws, S] in the board's order.

    A row joins the group above while the probability that the group's first row is ahead of it is below 0.95.
    """
    groups: list[int] = []
    first = 0
    for row in range(scores.shape[1]):
        if row and p_ahead(scores[:, first], scores[:, row]) >= TIED_BELOW:
            first = row
        groups.append(groups[-1] + (first == row) if groups else 1)
    return groups

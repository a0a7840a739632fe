"""Differences between submissions, formed study by study, and how sure they are.

Study k of every submission has the same initial weights and the same order of the data, so that much of the noise
of two submissions is common and cancels in their difference.

A score is the mean over workloads of means over studies. Its variance is estimated on each workload from the
differences of the studies, and Student's t with Welch's and Satterthwaite's degrees of freedom says how far the
truth may be (Welch 1947, Biometrika 34; Satterthwaite 1946, Biometrics Bulletin 2). Unlike a bootstrap it holds
with three studies. On a workload where a difference has one study only, the variance is that of the other
differences there. Submissions are not equally noisy, so that this one may be noisier: if their variances scatter
like a scaled inverse chi-squared with d degrees of freedom, a difference of one study over its borrowed error has a
Student's t with d, and d is told from the variances that were measured (empirical Bayes: Smyth 2004, Statistical
Applications in Genetics and Molecular Biology 3, sections 4 and 6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import digamma, polygamma, stdtr, stdtrit

from scoring.scores import Array

SURE = 0.95
"""The level of intervals."""

POWER = 0.8
"""How probably the studies that are asked for decide, if the present estimates are right."""

MOST_STUDIES = 1000

_MANY = 1e6
"""Degrees of freedom at which t is the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The variance of the difference that one study gives, by workload, and its degrees of freedom: arrays [W]. NaN
    and 0 where no two submissions have two studies in common. `borrowed`: the degrees of freedom of a difference of
    one study that takes its variance from here, at most the number of differences that it is from."""

    variance: Array
    freedom: Array
    borrowed: float

    @classmethod
    def of(cls, differences: Array) -> Noise:
        """Pooled over differences [D, W, K], NaN where there is no such study."""
        there = ~np.isnan(differences)
        counts = there.sum(axis=-1)
        means = np.where(there, differences, 0.0).sum(axis=-1) / np.maximum(counts, 1)
        squares = np.where(there, differences - means[..., None], 0.0) ** 2
        freedom = np.maximum(counts - 1, 0).sum(axis=0).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return cls(
                variance=squares.sum(axis=(0, -1)) / freedom,
                freedom=freedom,
                borrowed=_scatter(squares.sum(axis=-1), np.maximum(counts - 1, 0)),
            )


def _scatter(squares: Array, freedom: Array) -> float:
    """The degrees of freedom with which variances scatter, from sums of squares with so many [D, W].

    Each difference's variances are added up over its workloads, as one that is noisy on one may be so on all.
    Beside the scatter that few studies explain, the rest is the trigamma function of half the degrees of
    freedom.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(freedom > 0, squares / freedom, 0.0)
        of_each = parts.sum(axis=-1) ** 2 / np.where(parts > 0, parts**2 / freedom, 0.0).sum(axis=-1)
    known = np.isfinite(of_each)
    count = int(known.sum())
    if count < 2:
        return float(count)
    half, total = of_each[known] / 2, parts[known].sum(axis=-1)
    logs = np.log(total) - digamma(half) + np.log(half)
    rest = logs.var(ddof=1) - polygamma(1, half).mean()
    if rest <= polygamma(1, count / 2):
        return float(count)
    return 2 * float(root_scalar(lambda x: polygamma(1, x) - rest, bracket=(1e-3, count / 2)).root)


def noise_over(logs: Array, reference: int) -> Noise:
    """The noise of logarithms [S, W, K] relative to the reference's row, pooled over all others: its own difference
    is 0 in every study, which says nothing of noise."""
    return Noise.of(np.delete(logs - logs[reference], reference, axis=0))


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Differences of D pairs: their means over workloads and studies, and how sure they are; arrays [D].

    `value`: the mean. `error`: its standard error, NaN where it cannot be told. `freedom`: degrees of freedom.
    `on_workloads` [D, W]: the mean on each workload, NaN where there is none; `errors_on`, `freedom_on` and
    `counts` its standard error, degrees of freedom and studies.
    """

    value: Array
    error: Array
    freedom: Array
    on_workloads: Array
    errors_on: Array
    freedom_on: Array
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, differences: Array, noise: Noise | None = None) -> Differences:
        """Those of differences [D, W, K] by study, NaN where one of the two has none. `noise` is what is known of
        the variance where a difference has one study only."""
        noise = noise or Noise.of(differences)
        there = ~np.isnan(differences)
        counts = there.sum(axis=-1)
        total = np.where(there, differences, 0.0).sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(counts > 0, total / counts, np.nan)
            squares = np.where(there, differences - means[..., None], 0.0) ** 2
            freedom = np.maximum(counts - 1, 0).astype(float)
            variances = np.where(freedom > 0, squares.sum(axis=-1) / freedom, np.nan)
            lone = (counts == 1) & (noise.freedom > 0)
            variances = np.where(lone, noise.variance, variances)
            freedom = np.where(lone, np.minimum(noise.freedom, noise.borrowed), freedom)
            made = cls._over(means, variances / counts, freedom, counts)
        alone = np.where(lone.any(axis=-1), noise.borrowed, np.inf)
        return replace(made, freedom=np.minimum(made.freedom, alone))

    @classmethod
    def _over(cls, means: Array, variances: Array, freedom: Array, counts: NDArray[np.intp]) -> Differences:
        """From means on workloads, the variances of these, and their degrees of freedom, each [D, W]."""
        measured = np.isfinite(means)
        size = measured.sum(axis=-1)
        parts = np.where(measured, variances, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(parts.sum(axis=-1)) / size
            weights = np.where(parts > 0, parts**2 / freedom, 0.0)
            total = parts.sum(axis=-1) ** 2 / weights.sum(axis=-1)
            value = np.where(size > 0, np.where(measured, means, 0.0).sum(axis=-1) / size, np.nan)
        return cls(
            value=value,
            error=error,
            freedom=np.where(np.isnan(total), np.inf, total),
            on_workloads=means,
            errors_on=np.sqrt(variances),
            freedom_on=freedom,
            counts=counts,
        )

    def only(self, workload: int) -> Differences:
        """The same on one workload alone."""
        one = slice(workload, workload + 1)
        return self._over(
            self.on_workloads[:, one],
            self.errors_on[:, one] ** 2,
            self.freedom_on[:, one],
            self.counts[:, one],
        )

    def interval(self, share: float = SURE) -> tuple[Array, Array]:
        """The central interval of each mean: (low, high), NaN where it cannot be told."""
        return _interval(self.value, self.error, self.freedom, share)

    def interval_over_workloads(self, share: float = SURE) -> tuple[Array, Array]:
        """The interval of the mean over workloads like these, which are then a sample themselves: Student's t with
        W - 1 degrees of freedom; NaN for fewer than two workloads."""
        count = np.isfinite(self.on_workloads).sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.nansum((self.on_workloads - self.value[:, None]) ** 2, axis=-1) / (count - 1)
            error = np.where(count > 1, np.sqrt(spread / count), np.nan)
        return _interval(self.value, error, np.maximum(count - 1.0, 1.0), share)

    def p_ahead(self) -> Array:
        """How probably each difference is above 0; 0.5 where nothing tells."""
        return p_above(self.value, self.error, self.freedom)


def more_studies(own: Differences, distance: float) -> int | None:
    """How many more studies of a difference [1] make its interval shorter, on one side, than a distance.

    They do so with a probability of POWER where the estimates are right. At least 1; None where MOST_STUDIES do not
    do, or where the variance is not known.
    """
    there = np.isfinite(own.on_workloads[0])
    counts, freedom_now = own.counts[0][there], own.freedom_on[0][there]
    single = own.errors_on[0][there] ** 2 * counts  # variances of single studies
    if not np.isfinite(single).all():
        return None
    least = int(counts.min())
    totals = np.arange(max(2, least), MOST_STUDIES + 1)
    parts = single / totals[:, None]  # [N, W]
    errors = np.sqrt(parts.sum(axis=1)) / len(single)
    borrowed = freedom_now > counts - 1
    freedom_on = np.maximum(totals[:, None] - 1.0, np.where(borrowed, freedom_now, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = parts.sum(axis=1) ** 2 / (parts**2 / freedom_on).sum(axis=1)
    freedom = np.where(np.isfinite(freedom), np.minimum(freedom, _MANY), _MANY)
    deciding = np.flatnonzero(distance > detectable(errors, freedom))
    return int(max(1, totals[deciding[0]] - least)) if len(deciding) else None


def detectable(error: Array, freedom: Array) -> Array:
    """The smallest means that are told from 0 with a probability of POWER: the sum of the two quantiles of
    Student's t, in standard errors."""
    return (stdtrit(freedom, 0.5 + SURE / 2) + stdtrit(freedom, POWER)) * error


def p_above(value: Array, error: Array, freedom: Array, bound: float = 0.0) -> Array:
    """How probably a mean is above a bound, by Student's t: 0.5 where its error is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (value - bound) / error
    t = np.where(error == 0.0, np.where(value == bound, 0.0, np.where(value > bound, np.inf, -np.inf)), t)
    limited = np.minimum(freedom, _MANY)
    return np.where(np.isnan(t), 0.5, np.where(np.isinf(t), (t > 0).astype(float), stdtr(limited, t)))


def _interval(value: Array, error: Array, freedom: Array, share: float) -> tuple[Array, Array]:
    wide = np.where(error == 0.0, 0.0, error * stdtrit(np.minimum(freedom, _MANY), 0.5 + share / 2))
    return value - wide, value + wide

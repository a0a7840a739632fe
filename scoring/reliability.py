"""The yardstick for scores: how much a board of one study tells about the board of another.

Each study of the records makes a board of its own, with the reference's trials of that study alone. From these:

* *signal to noise*: the standard deviation of the scores between submissions, over that of one submission's score
  from study to study (on a score that is a speed-up, of its logarithm);
* *tau*: Kendall's rank correlation (tau-b) between two of the boards, the mean and the least over all pairs.

Noise falls with the square root of the number of studies: a score with twice the signal to noise needs a quarter of
the studies for the same certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from pacer.errors import RecordsError
from scoring.board.scored import score_of, scored
from scoring.names import Score
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.rules import RULES
from scoring.scores import Array
from scoring.selection import Selection, select


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How reliable one score is. `tau`, `tau_min`: between boards of single studies. None where they cannot be
    told: with fewer than two submissions, or, of the noise, where all studies give the same."""

    tau: float | None
    tau_min: float | None
    signal_to_noise: float | None

    def studies_like(self, other: Reliability) -> float | None:
        """How many studies of this score tell as much as one of another; None where that is not known."""
        if not self.signal_to_noise or not other.signal_to_noise:
            return None
        return (other.signal_to_noise / self.signal_to_noise) ** 2


@dataclass(frozen=True, kw_only=True)
class ReliabilityReport:
    """The reliability of each score on the same records. `default`: the one that their board has by default."""

    suite: str
    by: str
    reference: str
    submissions: int
    workloads: int
    studies: int
    scores: dict[Score, Reliability]
    default: Score


def reliability(records: Sequence[Record], query: BoardQuery, names: Sequence[Score]) -> ReliabilityReport:
    """The reliability of scores on the records of a board. Raises RecordsError for fewer than two studies."""
    chosen = select(records, query)
    studies = sorted({(r.seed, r.study) for trials in chosen.trials.values() for r in trials})
    if len(studies) < 2:
        raise RecordsError(f"reliability compares studies, and there is {len(studies)}; run: make bench STUDIES=3")
    return ReliabilityReport(
        suite=query.suite,
        by=query.by,
        reference=query.reference,
        submissions=len(chosen.submissions),
        workloads=len(chosen.workloads),
        studies=len(studies),
        scores={name: _of(single_studies(chosen, replace(query, score=name), studies), name) for name in names},
        default=score_of(chosen, replace(query, score=None)),
    )


def single_studies(chosen: Selection, query: BoardQuery, studies: Sequence[tuple[int, int]]) -> Array:
    """The scores [K, S] of boards of single studies; NaN where a submission has no trials in a study."""
    points = np.full((len(studies), len(chosen.submissions)), np.nan)
    for k, study in enumerate(studies):
        trials = {
            cell: own
            for cell, all_trials in chosen.trials.items()
            if (own := [r for r in all_trials if (r.seed, r.study) == study])
        }
        there = [any(name == cell[0] for cell in trials) for name in chosen.submissions]
        points[k] = scored(replace(chosen, trials=trials), replace(query, draws=1)).points
        points[k, ~np.array(there)] = np.nan
    return points


def _of(points: Array, name: Score) -> Reliability:
    values = np.log(points) if RULES[name].of_curves else points
    return Reliability(
        **dict(zip(("tau", "tau_min"), _taus(values), strict=True)), signal_to_noise=signal_to_noise(values)
    )


def signal_to_noise(values: Array) -> float | None:
    """From scores [K, S]: the spread between submissions over that between studies of one."""
    count = (~np.isnan(values)).sum(axis=0)
    if values.shape[1] < 2 or not (count > 1).any():
        return None
    means = np.nanmean(values, axis=0)
    freedom = np.maximum(count - 1, 0)
    noise = np.nansum((values - means) ** 2) / freedom.sum()
    return float(means.std(ddof=1) / np.sqrt(noise)) if noise > 0 else None


def _taus(values: Array) -> tuple[float | None, float | None]:
    taus = []
    for first, second in combinations(values, 2):
        both = ~np.isnan(first) & ~np.isnan(second)
        if both.sum() > 1:
            taus.append(float(np.asarray(kendalltau(first[both], second[both]))[0]))
    known = [tau for tau in taus if not np.isnan(tau)]  # of a board where all are equal there is none
    return (float(np.mean(known)), min(known)) if known else (None, None)

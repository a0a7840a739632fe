"""What stopping policies know of the trials that have finished, and the studies that these make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.records import Outcome, Record
from scoring.scores import Array
from scoring.times import crossing, median, study_result


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial's best value so far at each evaluation up to its crossing, turned so that higher is better.

    `times`: submission times [E] in seconds. `best`: values [E]. `end_s`: time of the crossing, None for a miss.
    """

    times: Array
    best: Array
    end_s: float | None


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """What policies know of a trial that has finished: a hundred bytes, without its curve.

    `time_s` is that to the target, inf for a miss. `curve` is None where no policy asks for it, and for a trial
    that broke or was not evaluated.
    """

    seed: int
    study: int
    trial: int
    time_s: float
    curve: Curve | None = None


FinishedTrials = Mapping[tuple[str, str], Sequence[FinishedTrial]]
"""The finished trials of one board, so of one suite, ruleset and hardware, by (submission, workload)."""


def finished_trial(record: Record, *, curve: bool = True) -> FinishedTrial:
    """What policies know of a record, with its curve or without."""
    kept = _curve(record) if curve and record.outcome is not Outcome.ERROR and record.evaluations else None
    time_s = study_result((record,), "time")[0]
    return FinishedTrial(record.seed, record.study, record.trial, time_s, kept)


def _curve(record: Record) -> Curve:
    at, sign = crossing(record), 1.0 if record.higher_is_better else -1.0
    end_s = at.time_s if at else None
    times, best = record.learning_curve().table()[:, 2:].T
    used = slice(None) if end_s is None else times <= end_s
    return Curve(times[used], np.where(np.isnan(best), -np.inf, sign * best)[used], end_s)


def by_study(trials: Sequence[FinishedTrial]) -> list[list[FinishedTrial]]:
    """The trials of one submission on one workload, grouped by (seed, study), in that order."""
    groups: dict[tuple[int, int], list[FinishedTrial]] = {}
    for trial in sorted(trials, key=lambda t: (t.seed, t.study)):
        groups.setdefault((trial.seed, trial.study), []).append(trial)
    return list(groups.values())


def fastest(trials: Sequence[FinishedTrial]) -> float:
    """A study's result: the time of its fastest trial, inf for none that reached the target."""
    return min((trial.time_s for trial in trials), default=math.inf)


def surely_missed(trials: Sequence[FinishedTrial], *, studies: int, full: int) -> bool:
    """Whether the median over so many planned studies is a miss, whatever the trials yet to come do.

    A study is known to miss once all `full` trials of it did.
    """
    lost = sum(len(study) >= full and math.isinf(fastest(study)) for study in by_study(trials))
    return lost >= studies - studies // 2


def median_at_most(trials: Sequence[FinishedTrial], *, studies: int) -> float:
    """What the median over so many planned studies cannot exceed: that with the trials yet to come as misses."""
    results = [fastest(study) for study in by_study(trials)]
    return float(median(np.array(results + [math.inf] * (studies - len(results)))))

"""Policies that predict misses: heuristics, which can be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scoring.records import Outcome
from scoring.stopping.finished import Curve, FinishedTrials, by_study, fastest
from scoring.stopping.rules import AllOf, Below, FirstOf, Policy, StopRule, TrialContext, Until


@dataclass(frozen=True)
class GiveUp:
    """Heuristic: after `misses` complete studies without a hit, skip the rest."""

    misses: int = 2

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """From the start, or never."""
        studies = by_study(context.other_studies(finished))
        complete = sum(len(study) >= context.trials for study in studies)
        hopeless = complete >= self.misses and all(math.isinf(fastest(study)) for study in studies)
        return Until(0.0 if hopeless else math.inf, Outcome.UNPROMISING)


@dataclass(frozen=True)
class Forecast:
    """Heuristic: a trial stops if by the measure of each curve that reached the target it would come late.

    A trial at time t whose best value is what another curve had at time u, and which reached the target at r, is
    forecast to reach it at t r / u: the same curve, stretched. It is stopped once that is later than `slack` times
    the time `within` leaves it, at most its budget, for all such curves: those of other submissions on the workload
    and of its own earlier trials. Where no trial has reached the target, the best of those that missed is the only
    curve, with the budget for r. Nothing is judged in the first `grace` of the budget, where warm-up and the lag of
    averaged weights tell little. `slack` >= 1; `own` False leaves the submission's own curves out.

    It assumes that a curve which is behind stays behind. Schedules that gain late break that, and so does a target
    that is only just reached at the end of the budget, which is a toss of a coin from one trial to the next. What
    it saved and cost on AlgoPerf's published logs is in docs/stopping.md. Its form and the grace were chosen with
    these logs in view: with a grace of 0.05 schedule_free_adamw as newcomer would lose criteo1tb, as it does with
    the slack of 1 that the other five would pick.
    """

    within: Policy
    slack: float = 2.0
    grace: float = 0.1
    own: bool = True

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """The rule of `within`, and a bar that the best value so far must not be below."""
        sure = self.within.rule(context, finished)
        latest = self.slack * min(sure.until_s, context.budget_s)
        curves = self._measures(context, finished)
        if not curves or latest <= 0:
            return sure
        ends = [context.budget_s if curve.end_s is None else curve.end_s for curve in curves]
        stretched = [(c.times * (latest / (end or 1.0)), c.best) for c, end in zip(curves, ends, strict=True)]
        times = np.unique(np.concatenate([at for at, _ in stretched]))
        times = times[times >= max(at[0] for at, _ in stretched)]  # before, some curve has no value yet
        bar = np.min([best[np.searchsorted(at, times, side="right") - 1] for at, best in stretched], axis=0)
        sign = 1 if context.higher_is_better else -1
        below = Below(tuple(times.tolist()), tuple(bar.tolist()), sign, self.grace * context.budget_s)
        return FirstOf((sure, below))

    def _measures(self, context: TrialContext, finished: FinishedTrials) -> list[Curve]:
        """The curves that a trial is measured by: those that reached the target, else the best that missed."""
        curves = [
            trial.curve
            for (submission, workload), trials in finished.items()
            if workload == context.workload and (self.own or submission != context.submission)
            for trial in trials
            if trial.curve is not None
        ]
        reached = [curve for curve in curves if curve.end_s is not None]
        return reached or sorted(curves, key=lambda curve: curve.best[-1])[-1:]


def forecast_policies(sure: Policy, slack: float = 2.0) -> AllOf:
    """The heuristic policies, around those that are sure; `slack` as in `Forecast`."""
    return AllOf((GiveUp(), Forecast(sure, slack)))

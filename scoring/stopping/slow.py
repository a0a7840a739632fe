"""A policy for scores of whole curves: it stops what is slow for certain enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.stopping.finished import FinishedTrials
from scoring.stopping.rules import NEVER, Below, StopRule, TrialContext


@dataclass(frozen=True)
class Slow:
    """Heuristic: a trial stops once its running speed-up over the reference falls below a bound.

    The running speed-up at time t is the reference's time to the best value that the trial has by then, over t:
    what the ladder score gives it at all levels that it has not come to. So a trial is stopped at time t if its
    best value is below what the reference had at `below` x t, in whichever finished trial of the reference had the
    least. Once the reference is at the target, whoever is not there 1 / `below` times later is stopped. Nothing is
    judged in the first `grace` of the budget: early values tell little. The reference itself always goes on.

    It assumes that whoever is far behind does not catch up. It needs no target.
    """

    reference: str
    below: float = 0.3
    grace: float = 0.3

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """A bar that the best value so far must not be below; none before the reference has finished a trial."""
        known = finished.get((self.reference, context.workload), ())
        curves = [trial.curve for trial in known if trial.curve is not None and len(trial.curve.times)]
        if context.submission == self.reference or not curves:
            return NEVER
        times = np.unique(np.concatenate([curve.times for curve in curves]))
        times = times[times >= max(curve.times[0] for curve in curves)]  # before, one of them has no value yet
        bar = np.min([c.best[np.searchsorted(c.times, times, side="right") - 1] for c in curves], axis=0)
        sign = 1 if context.higher_is_better else -1
        at = tuple((times / self.below).tolist())
        return Below(at, tuple(bar.tolist()), sign, self.grace * context.budget_s)

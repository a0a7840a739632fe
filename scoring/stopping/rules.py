"""Stop rules, each of one trial, and what a policy is: it makes the stop rule of a trial that is about to start."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring.records import Evaluation, Outcome
from scoring.stopping.finished import FinishedTrial, FinishedTrials


class StopRule(Protocol):
    """Says when one trial stops. Immutable and picklable."""

    @property
    def until_s(self) -> float:
        """The submission time from which the trial stops whatever its curve; 0: it need not start."""
        ...

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        """Why to stop at this submission time, the evaluations so far being those; None to go on."""
        ...


@dataclass(frozen=True)
class Until:
    """Stops at a submission time, whatever the curve."""

    until_s: float = math.inf
    outcome: Outcome = Outcome.OUTRUN

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        """`outcome` from `until_s` on."""
        return self.outcome if time_s >= self.until_s else None


NEVER = Until()
"""Leaves a trial its whole budget."""


@dataclass(frozen=True)
class FirstOf:
    """Stops when the first of several rules does."""

    rules: tuple[StopRule, ...] = ()

    @property
    def until_s(self) -> float:
        """The earliest of the rules'."""
        return min((rule.until_s for rule in self.rules), default=math.inf)

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        """The reason of the first rule in order that has one."""
        return next((why for rule in self.rules if (why := rule.stop_reason(time_s, evaluations))), None)


@dataclass(frozen=True)
class Below:
    """Stops once the best value so far is below a bar that depends on the time; never before `from_s`.

    The bar is a step function: `values[i]` from `times[i]` on, nothing before. `sign` is -1 where lower is better.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]
    sign: int
    from_s: float = 0.0
    until_s: float = math.inf

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        """UNPROMISING where the best of the evaluations is below the bar at `time_s`."""
        step = bisect_right(self.times, time_s) - 1
        if time_s < self.from_s or step < 0:
            return None
        best = max((self.sign * e.value for e in evaluations if e.value is not None), default=-math.inf)
        return Outcome.UNPROMISING if best < self.values[step] else None


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """A trial that is about to start, and its plan: `studies` of `trials` for every submission on every workload.

    `has_variants`: whether variants of its workload are planned, so that its result decides if theirs count.
    """

    submission: str
    workload: str
    seed: int
    study: int
    studies: int
    trials: int
    higher_is_better: bool
    budget_s: float
    variant_of: str | None = None
    has_variants: bool = False

    def own_study(self, finished: FinishedTrials) -> list[FinishedTrial]:
        """The finished trials of its study."""
        own = finished.get((self.submission, self.workload), ())
        return [t for t in own if (t.seed, t.study) == (self.seed, self.study)]

    def other_studies(self, finished: FinishedTrials) -> list[FinishedTrial]:
        """Those of the same submission on the same workload in other studies."""
        own = finished.get((self.submission, self.workload), ())
        return [t for t in own if (t.seed, t.study) != (self.seed, self.study)]


class Policy(Protocol):
    """Makes the stop rule of a trial from what is known when it starts. Immutable and picklable."""

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """The rule of the trial. `finished` holds all trials that have, those of its own study among them."""
        ...


@dataclass(frozen=True)
class AllOf:
    """Several policies at once."""

    policies: tuple[Policy, ...] = ()

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """The first of the policies' rules to stop the trial."""
        return FirstOf(tuple(policy.rule(context, finished) for policy in self.policies))

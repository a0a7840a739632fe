"""How a trial ends, and when it is evaluated until then: the one place where both are decided.

A trial is evaluated on a grid of steps (`EverySteps`: what a bench orders, and what times, tunes or tries a
submission) or at given steps (`AtSteps`: a repeat of a recorded trial). The grid is the same for all submissions
of a workload, whatever the machine's mood, so that curves are compared step by step. Each of these values answers
three questions of the referee: when the next evaluation is due, how long a hook may take, and whether the trial
ends with the evaluation that was just made. Times are in seconds of submission time.

Every ending of a trial, in the order in which they can happen:

| outcome | when | decided in |
|---|---|---|
| ERROR | the player takes too long to start and to load the submission | `PlayerGone`, made an ending by `broke` |
| UNSUITABLE | the submission says that it cannot run on such a workload | the player, `declined` |
| COMPLETE | the study has had all points of the submission's list (`seeds.NoPointLeft`) | the player, `declined` |
| the stop rule's | the rule leaves the trial no time at all: `until_s` is 0 | `before_training` |
| BUDGET | a hook (configure, update, after_eval) does not return within `patience_s` | `Overrun` |
| ERROR | the player raises, exits, breaks the protocol, evaluates when none is due, or ranks differ | `broke` |
| ERROR | an evaluation runs out of memory | the referee, made an ending by `broke` |
| DIVERGED | the value at an evaluation is not finite | `outcome` |
| REACHED | the value at an evaluation meets the target, where `stop_at_target` | `outcome` |
| COMPLETE | the submission raises `TrainingComplete`, or its schedule is over | the player, then `outcome` |
| COMPLETE | the last step that was ordered is made (`AtSteps`, and `EverySteps` where it has one) | `outcome` |
| BUDGET | the budget is spent at an evaluation (not `AtSteps`) | `outcome` |
| OUTRUN, SETTLED, CUT, UNPROMISING | the stop rule gives that reason at an evaluation (not `AtSteps`) | `outcome` |

Where several hold at one evaluation, the one that stands first in the table counts. What spoils a measurement from
outside (`MeasurementInvalid`: a player cannot be started, the machine stands still, the ledger does not add up) is
no ending: there is no record, and the trial is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from scoring.records import Evaluation, Failure, Outcome
from scoring.stopping import NEVER, StopRule

_LEAST_GRACE_S = 1.0
"""Seconds beyond the budget that a hook has at least, however short the evaluation period is."""

_DENSE = 80
"""So many evaluations are `every` steps apart, and from then on a fortieth to an eightieth of the steps made."""


class Ended(NamedTuple):
    """How a trial ended; `failure` is what went wrong, `reason` why the submission declined to run."""

    outcome: Outcome
    failure: Failure | None = None
    reason: str | None = None


class NextEvaluation(NamedTuple):
    """When the next evaluation is due: after update number `step`, at which players stop by themselves (None: at no
    step), or when the submission's clock shows `ask_at_s`, at which the referee asks them to stop."""

    step: int | None
    ask_at_s: float


class Overrun(Exception):
    """A hook did not return within the time it had, so the trial is over."""

    def __init__(self, hook: str, allowed_s: float, who: str = "") -> None:
        """`who` names the ranks that were late, with a space behind; it is empty where there is one player."""
        message = f"{who}did not come back from {hook} within {allowed_s:.1f} s; the player was stopped"
        super().__init__(message)
        self.ended = Ended(Outcome.BUDGET, Failure(hook=hook, kind="Overrun", message=message))


@dataclass(frozen=True, kw_only=True)
class EverySteps:
    """Evaluations after every `every` steps, and when the clock decides: at the end of the budget, and when the
    stop rule has its say. Step `last` ends the trial if the clock does not; None: the clock alone does.

    From the eightieth evaluation on the stride doubles whenever the number of steps does, so that short steps buy
    few evaluations. `period_s` is what the reference takes between two evaluations, None where a trial is not
    measured against the reference; then it is the budget.
    """

    every: int
    budget_s: float
    last: int | None = None
    period_s: float | None = None
    stop_at_target: bool = True
    stop_rule: StopRule = NEVER

    def next_evaluation(self, step: int, time_s: float, stall_s: float) -> NextEvaluation:
        """When an evaluation is due after one at this step and time; `stall_s` is the longest wait for a step.

        Before the clock decides, the referee asks only those of whom it hears nothing for that long, or for twice
        as long as the reference takes.
        """
        asked_s = time_s + max(stall_s, 2 * _period_s(self))
        return NextEvaluation(self.step_after(step), min(asked_s, _last_s(self)))

    def step_after(self, step: int) -> int:
        """The first step after this one that is evaluated."""
        stride = self.every
        while step >= _DENSE * stride:
            stride *= 2
        due = (step // stride + 1) * stride
        return due if self.last is None else min(due, self.last)

    def patience_s(self, time_s: float, stall_s: float) -> float:
        """Seconds that a hook may still take at this time: until the budget and a period more are over."""
        return min(self.budget_s + max(_period_s(self), _LEAST_GRACE_S) - time_s, stall_s)

    def outcome(self, evaluations: Sequence[Evaluation], *, met: bool, complete: bool) -> Outcome | None:
        """How the trial ends with the last of these evaluations, None where it goes on.

        `met`: its value meets the target. `complete`: the submission has nothing more to train.
        """
        complete = complete or (self.last is not None and evaluations[-1].step >= self.last)
        return _of_value(self, evaluations[-1], met, complete) or _of_clock(self, evaluations)


@dataclass(frozen=True, kw_only=True)
class AtSteps:
    """Evaluations after each of these ascending `steps`; the last ends the trial, whatever the clock shows.

    `budget_s` and `period_s` are those of the trial that is repeated: the submission sees the same budget, and
    the record shows both.
    """

    steps: tuple[int, ...]
    budget_s: float
    period_s: float
    stop_at_target: bool = True
    stop_rule: ClassVar[StopRule] = NEVER

    def next_evaluation(self, step: int, time_s: float, stall_s: float) -> NextEvaluation:
        """When an evaluation is due after one at this step and time; the referee asks for it after a stall only."""
        return NextEvaluation(min((due for due in self.steps if due > step), default=None), time_s + stall_s)

    def patience_s(self, time_s: float, stall_s: float) -> float:
        """Seconds that a hook may take, at any time: as long as a step may."""
        return stall_s

    def outcome(self, evaluations: Sequence[Evaluation], *, met: bool, complete: bool) -> Outcome | None:
        """How the trial ends with the last of these evaluations, None where it goes on; as of `EverySteps`."""
        complete = complete or evaluations[-1].step >= self.steps[-1]
        return _of_value(self, evaluations[-1], met, complete)


Ending = EverySteps | AtSteps


def declined(outcome: Outcome, reason: str) -> Ended:
    """The end of a trial whose submission was loaded and does not train, for this reason."""
    return Ended(outcome, reason=reason)


def before_training(ending: Ending) -> Ended | None:
    """The end of a trial that need not start, as its stop rule leaves it no time; None for every other one."""
    if ending.stop_rule.until_s > 0:
        return None
    outcome = ending.stop_rule.stop_reason(0.0, ())
    assert outcome is not None, ending.stop_rule
    return Ended(outcome)


def broke(failure: Failure) -> Ended:
    """The end of a trial in which something broke, by the submission's fault or for want of memory."""
    return Ended(Outcome.ERROR, failure)


def _of_value(ending: Ending, evaluation: Evaluation, met: bool, complete: bool) -> Outcome | None:
    """What an evaluation's value and the submission itself decide, which goes before what the clock decides."""
    if evaluation.value is None:
        return Outcome.DIVERGED
    if ending.stop_at_target and met:
        return Outcome.REACHED
    return Outcome.COMPLETE if complete else None


def _of_clock(ending: EverySteps, evaluations: Sequence[Evaluation]) -> Outcome | None:
    time_s = evaluations[-1].time_s
    return Outcome.BUDGET if time_s >= ending.budget_s else ending.stop_rule.stop_reason(time_s, evaluations)


def _last_s(ending: EverySteps) -> float:
    """The time at which an evaluation decides the trial, whatever the period is."""
    return min(ending.budget_s, ending.stop_rule.until_s)


def _period_s(ending: EverySteps) -> float:
    return ending.budget_s if ending.period_s is None else ending.period_s

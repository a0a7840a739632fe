"""Every ending of a trial: what is decided at exactly which time, step and value. Needs no process."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from harness.protocol import ending
from harness.protocol.ending import AtSteps, Ended, Ending, EverySteps, NextEvaluation, Overrun
from scoring.records import Evaluation, Failure, Outcome
from scoring.stopping import Below, FirstOf, Until

INF = math.inf
STALL_S = 900.0

GRID = EverySteps(every=20, budget_s=10.0, period_s=3.0)
STEPS = EverySteps(every=20, last=50, budget_s=10.0)
GIVEN = AtSteps(steps=(7, 30, 31), budget_s=10.0, period_s=3.0)
ALL = (GRID, STEPS, GIVEN)


def evaluation(time_s: float = 1.0, step: int = 1, value: float | None = 0.5) -> Evaluation:
    return Evaluation(step=step, examples=step, time_s=time_s, value=value, train_loss=0.1)


def outcome(
    of: Ending,
    time_s: float = 1.0,
    step: int = 1,
    value: float | None = 0.5,
    *,
    met: bool = False,
    complete: bool = False,
) -> Outcome | None:
    return of.outcome((evaluation(time_s, step, value),), met=met, complete=complete)


# ---- When the next evaluation is due.


@pytest.mark.parametrize(
    ("step", "due"), [(0, 20), (1, 20), (19, 20), (20, 40), (21, 40), (39, 40), (40, 50), (49, 50), (50, 50)]
)
def test_a_multiple_is_due_and_the_last_step(step: int, due: int) -> None:
    assert STEPS.next_evaluation(step, 4.0, STALL_S) == NextEvaluation(due, 10.0)


@pytest.mark.parametrize("time_s", [0.0, 3.0, 9.999, 25.0])
@pytest.mark.parametrize(("step", "due"), [(0, 20), (19, 20), (20, 40), (50, 60), (1_579, 1_580), (1_580, 1_600)])
def test_the_clock_moves_no_evaluation_and_there_need_be_no_last_step(step: int, due: int, time_s: float) -> None:
    assert GRID.next_evaluation(step, time_s, STALL_S) == NextEvaluation(due, 10.0)


@pytest.mark.parametrize(
    ("step", "due"),
    [(1_600, 1_640), (1_639, 1_640), (3_160, 3_200), (3_200, 3_280), (6_400, 6_560), (6_560, 6_720)],
)
def test_from_the_eightieth_evaluation_on_the_stride_grows_with_the_steps(step: int, due: int) -> None:
    assert GRID.step_after(step) == due


def test_short_steps_buy_few_evaluations() -> None:
    """A thousand times as many steps as the densest stretch has: ten doublings."""
    step, count = 0, 0
    while (step := GRID.step_after(step)) <= 1_600 * 1_024:
        count += 1
    assert count == 80 + 10 * 40


@pytest.mark.parametrize(
    ("stall_s", "period_s", "ask_at_s"), [(1.0, 3.0, 7.0), (7.0, 3.0, 8.0), (900.0, 3.0, 10.0), (1.0, None, 10.0)]
)
def test_whoever_is_not_heard_of_is_asked(stall_s: float, period_s: float | None, ask_at_s: float) -> None:
    assert replace(GRID, period_s=period_s).next_evaluation(0, 1.0, stall_s) == NextEvaluation(20, ask_at_s)


def test_no_multiple_is_left_out() -> None:
    long, step, due = replace(STEPS, every=3, last=20), 0, []
    while step < 20:
        step = long.next_evaluation(step, 0.0, STALL_S).step
        due.append(step)
    assert due == [3, 6, 9, 12, 15, 18, 20]


@pytest.mark.parametrize("of", [GRID, STEPS])
@pytest.mark.parametrize(
    ("until_s", "ask_at_s"), [(INF, 10.0), (11.0, 10.0), (10.0, 10.0), (4.0, 4.0), (1e-6, 1e-6), (0.0, 0.0)]
)
def test_the_referee_asks_when_the_clock_decides(of: EverySteps, until_s: float, ask_at_s: float) -> None:
    ruled = replace(of, stop_rule=Until(until_s))
    assert ruled.next_evaluation(0, 0.0, STALL_S).ask_at_s == ask_at_s


@pytest.mark.parametrize(
    ("step", "due"), [(0, 7), (6, 7), (7, 30), (8, 30), (29, 30), (30, 31), (31, None), (99, None)]
)
def test_at_steps_the_next_one_is_due_and_none_is_asked_for_before_a_stall(step: int, due: int | None) -> None:
    for time_s in (0.0, 5.0, 10.0, 1e6):
        assert GIVEN.next_evaluation(step, time_s, STALL_S) == NextEvaluation(due, time_s + STALL_S)


# ---- How long a hook may take.


@pytest.mark.parametrize(
    ("of", "time_s", "stall_s", "patience_s"),
    [
        (GRID, 0.0, STALL_S, 13.0),  # the budget and a period
        (GRID, 4.0, STALL_S, 9.0),
        (GRID, 13.0, STALL_S, 0.0),
        (GRID, 14.0, STALL_S, -1.0),
        (GRID, 0.0, 13.0, 13.0),
        (GRID, 0.0, 12.5, 12.5),  # a stall is noticed before
        (replace(GRID, period_s=1.0), 0.0, STALL_S, 11.0),
        (replace(GRID, period_s=0.1), 0.0, STALL_S, 11.0),  # a second at least
        (STEPS, 0.0, STALL_S, 20.0),  # twice the budget
        (STEPS, 5.0, STALL_S, 15.0),
        (STEPS, 0.0, 15.0, 15.0),
        (replace(STEPS, budget_s=0.5), 0.0, STALL_S, 1.5),
        (GIVEN, 0.0, STALL_S, STALL_S),
        (GIVEN, 1e6, STALL_S, STALL_S),
    ],
)
def test_a_hook_has_until_the_grace_after_the_budget(
    of: Ending, time_s: float, stall_s: float, patience_s: float
) -> None:
    assert of.patience_s(time_s, stall_s) == patience_s


# ---- How an evaluation ends a trial.


@dataclass(frozen=True)
class Said:
    """A stop rule that says the same at every evaluation."""

    outcome: Outcome | None
    until_s: float = INF

    def stop_reason(self, time_s: float, evaluations: object) -> Outcome | None:
        return self.outcome


@pytest.mark.parametrize("of", ALL)
def test_a_trial_goes_on_where_nothing_ends_it(of: Ending) -> None:
    assert outcome(of) is None


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize("met", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_a_value_that_is_not_finite_is_divergence_before_all_else(of: Ending, met: bool, complete: bool) -> None:
    assert outcome(of, 99.0, 99, None, met=met, complete=complete) is Outcome.DIVERGED


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(("time_s", "step"), [(1.0, 1), (99.0, 99)])
def test_the_target_goes_before_completion_budget_and_rule(
    of: Ending, complete: bool, time_s: float, step: int
) -> None:
    assert outcome(of, time_s, step, met=True, complete=complete) is Outcome.REACHED
    without = replace(of, stop_at_target=False)
    assert outcome(without, time_s, step, met=True, complete=complete) is not Outcome.REACHED
    assert outcome(without, 1.0, 1, met=True) is None


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize("time_s", [1.0, 99.0])
def test_a_submission_that_is_done_goes_before_budget_and_rule(of: Ending, time_s: float) -> None:
    assert outcome(of, time_s, 1, complete=True) is Outcome.COMPLETE


@pytest.mark.parametrize(
    ("of", "step", "ends"),
    [
        (STEPS, 49, None),
        (STEPS, 50, Outcome.COMPLETE),
        (STEPS, 51, Outcome.COMPLETE),
        (GIVEN, 30, None),
        (GIVEN, 31, Outcome.COMPLETE),
        (GIVEN, 32, Outcome.COMPLETE),
        (GRID, 10**9, None),
    ],
)
def test_the_last_step_completes_a_trial(of: Ending, step: int, ends: Outcome | None) -> None:
    assert outcome(of, step=step) is ends


def test_the_last_step_goes_before_the_budget() -> None:
    assert outcome(STEPS, 99.0, 50) is Outcome.COMPLETE
    assert outcome(STEPS, 99.0, 49) is Outcome.BUDGET


@pytest.mark.parametrize("of", [GRID, STEPS])
@pytest.mark.parametrize(("time_s", "ends"), [(9.999, None), (10.0, Outcome.BUDGET), (10.001, Outcome.BUDGET)])
def test_the_budget_ends_a_trial_once_it_is_spent(of: Ending, time_s: float, ends: Outcome | None) -> None:
    assert outcome(of, time_s) is ends


@pytest.mark.parametrize("of", [GRID, STEPS])
def test_the_budget_goes_before_the_stop_rule(of: EverySteps) -> None:
    ruled = replace(of, stop_rule=Said(Outcome.CUT))
    assert outcome(ruled, 10.0) is Outcome.BUDGET
    assert outcome(ruled, 9.999) is Outcome.CUT


@pytest.mark.parametrize("of", [GRID, STEPS])
@pytest.mark.parametrize("reason", [Outcome.OUTRUN, Outcome.SETTLED, Outcome.CUT, Outcome.UNPROMISING])
@pytest.mark.parametrize("time_s", [3.999, 4.0, 4.001])
def test_a_stop_rule_gives_the_reason(of: EverySteps, reason: Outcome, time_s: float) -> None:
    ruled = replace(of, stop_rule=Until(4.0, reason))
    assert outcome(ruled, time_s) is (reason if time_s >= 4.0 else None)


def test_a_stop_rule_sees_the_whole_curve() -> None:
    rule = Below(times=(2.0,), values=(0.5,), sign=1)
    ruled = replace(GRID, stop_rule=FirstOf((rule,)))
    good, bad = evaluation(1.0, 1, 0.9), evaluation(2.5, 2, 0.1)
    assert ruled.outcome((bad,), met=False, complete=False) is Outcome.UNPROMISING
    assert ruled.outcome((good, bad), met=False, complete=False) is None


@pytest.mark.parametrize("time_s", [0.0, 10.0, 1e9])
def test_neither_budget_nor_rule_ends_a_repeat(time_s: float) -> None:
    assert outcome(GIVEN, time_s, 30) is None
    with pytest.raises(TypeError, match="stop_rule"):
        replace(GIVEN, stop_rule=Until(0.0))


# ---- Endings without an evaluation.


@pytest.mark.parametrize("of", [GRID, STEPS])
@pytest.mark.parametrize(("until_s", "starts"), [(-1.0, False), (0.0, False), (1e-9, True), (INF, True)])
def test_a_trial_without_time_need_not_start(of: EverySteps, until_s: float, starts: bool) -> None:
    ended = ending.before_training(replace(of, stop_rule=Until(until_s, Outcome.SETTLED)))
    assert ended == (None if starts else Ended(Outcome.SETTLED))


def test_a_repeat_always_starts() -> None:
    assert ending.before_training(GIVEN) is None


@pytest.mark.parametrize("declined", [Outcome.UNSUITABLE, Outcome.COMPLETE])
def test_a_submission_may_decline_with_a_reason(declined: Outcome) -> None:
    assert ending.declined(declined, "no convolutions") == Ended(declined, None, "no convolutions")


def test_what_broke_is_an_error_with_its_failure() -> None:
    failure = Failure(hook="update", kind="ValueError", message="no")
    assert ending.broke(failure) == Ended(Outcome.ERROR, failure, None)


@pytest.mark.parametrize("hook", ["configure", "update", "after_eval"])
@pytest.mark.parametrize("who", ["", "rank 1 of 2 "])
def test_a_hook_that_overruns_is_a_miss_and_names_itself(hook: str, who: str) -> None:
    ended = Overrun(hook, 12.34, who).ended
    message = f"{who}did not come back from {hook} within 12.3 s; the player was stopped"
    assert ended == Ended(Outcome.BUDGET, Failure(hook=hook, kind="Overrun", message=message))


# ---- The values themselves.


@pytest.mark.parametrize(
    ("of", "budget_s", "period_s"), [(GRID, 10.0, 3.0), (STEPS, 10.0, None), (GIVEN, 10.0, 3.0)]
)
def test_a_trial_has_a_budget_and_the_period_of_the_reference_if_measured_against_it(
    of: Ending, budget_s: float, period_s: float | None
) -> None:
    assert (of.budget_s, of.period_s) == (budget_s, period_s)


@pytest.mark.parametrize("of", [*ALL, replace(GRID, stop_rule=FirstOf((Until(3.0),)))])
def test_an_ending_travels_to_other_processes(of: Ending) -> None:
    assert pickle.loads(pickle.dumps(of)) == of
    with pytest.raises(AttributeError):
        of.budget_s = 3.0


def test_the_table_names_every_outcome_and_every_decision() -> None:
    rows = [line for line in ending.__doc__.splitlines() if line.startswith("| ")][1:]
    outcomes = {word.strip() for row in rows for word in row.split("|")[1].split(",")} - {"the stop rule's"}
    assert outcomes == {each.name for each in Outcome}
    named = {name for name in ("declined", "before_training", "Overrun", "broke") if f"`{name}`" in ending.__doc__}
    assert all(isinstance(getattr(ending, name), Callable) for name in named)
    assert len(named) == 4

"""The plan: everything that is asked for and not recorded, whole studies first, in budgets of reference steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.ending import EverySteps
from harness.protocol.plan import Recorded, plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial, over_horizon
from harness.protocol.trial_id import TrialId
from scoring.records import TrialKey
from scoring.records.layout import SINGLE, Layout
from scoring.stopping import Until
from submissions.registry import SubmissionRef, resolve
from workloads import registry
from workloads.base import Workload

WORKLOADS = tuple(replace(w, target=0.1) for w in registry.suite("smoke"))[:2]
PACE = {w.name: 0.01 * (i + 1) for i, w in enumerate(WORKLOADS)}
SUBMISSIONS = [resolve("nadamw"), resolve("adamw")]


def settings(**changes: object) -> Settings:
    return Settings(suite="smoke", studies=2, data=Path("/data"), **changes)


def make(changed: Settings | None = None, recorded: object = ()) -> list[Trial]:
    return list(plan(changed or settings(), WORKLOADS, SUBMISSIONS, PACE, set(recorded), "here"))


def keys(trials: list[Trial]) -> list[tuple[str | int, ...]]:
    by_name = {w.name: w for w in WORKLOADS}
    return [trial.key(by_name[trial.workload], "here") for trial in trials]


def test_every_combination_is_planned_once() -> None:
    trials = make(settings(trials=3, ruleset="external"))
    assert len(trials) == len(set(keys(trials))) == 2 * 2 * 2 * 3


def test_what_is_recorded_is_not_planned_again() -> None:
    trials = make()
    assert make(recorded=keys(trials)[:3]) == trials[3:]
    assert make(recorded=keys(trials)) == []


def test_whole_studies_come_first_cheap_ones_first_in_them_and_long_ones_in_the_last() -> None:
    trials = make()
    assert [t.study for t in trials] == sorted(t.study for t in trials)
    last = trials[-1].study
    for study in range(last + 1):
        budgets = [t.budget_s for t in trials if t.study == study]
        assert budgets == sorted(budgets, reverse=study == last)


@pytest.mark.parametrize(("ruleset", "factor"), [("external", 1.25), ("self", 1.875)])
def test_budgets_and_periods_are_reference_steps(ruleset: str, factor: float) -> None:
    for trial in make(settings(ruleset=ruleset)):
        workload = next(w for w in WORKLOADS if w.name == trial.workload)
        horizon = workload.step_hint * PACE[workload.name]
        assert trial.budget_s == pytest.approx(factor * horizon)
        assert trial.evaluation_period_s == pytest.approx(horizon / workload.evaluations)
        assert (trial.ending.every, trial.ending.last) == (round(workload.step_hint / workload.evaluations), None)


def test_evaluations_are_at_the_same_steps_however_fast_the_machine_is() -> None:
    slow = plan(settings(), WORKLOADS, SUBMISSIONS, {name: 7 * pace for name, pace in PACE.items()}, (), "here")
    assert [t.ending.every for t in slow] == [t.ending.every for t in make()]


def changed_target(workload: Workload) -> Workload:
    return replace(workload, target=0.2)


def changed_definition(workload: Workload) -> Workload:
    return replace(workload, step_hint=workload.step_hint + 1)


@pytest.mark.parametrize("change", [changed_target, changed_definition])
def test_another_target_or_workload_is_another_result(change) -> None:
    trial = make()[0]
    workload = next(w for w in WORKLOADS if w.name == trial.workload)
    assert trial.key(workload, "here") != trial.key(change(workload), "here")


def test_another_text_or_machine_is_another_result() -> None:
    trial = make()[0]
    workload = next(w for w in WORKLOADS if w.name == trial.workload)
    edited = replace(
        trial, submission=SubmissionRef(name=trial.submission.name, text="other", filename="nadamw.py")
    )
    assert edited.key(workload, "here") != trial.key(workload, "here")
    assert trial.key(workload, "there") != trial.key(workload, "here")


def test_recorded_keys_count_where_they_are_asked_for() -> None:
    trials = make(settings(trials=2, ruleset="external"))
    wanted = settings(trials=2, ruleset="external")
    known = Recorded(wanted, WORKLOADS, SUBMISSIONS, "here")
    for key in keys(trials)[::2]:
        known.add(key)
        known.add(key)
    assert len(known) == len(trials) / 2
    assert [key in known for key in keys(trials)] == [True, False] * (len(trials) // 2)
    assert list(plan(wanted, WORKLOADS, SUBMISSIONS, PACE, known, "here")) == trials[1::2]
    before = len(known)
    for place, other in enumerate(("base", "w", "0", "x", "0", "self", 1, 2, 2, "there")):
        strange = list(keys(trials)[1])
        strange[place] = other
        known.add(TrialKey(*strange))
        assert TrialKey(*strange) not in known
    assert len(known) == before


def test_a_plan_is_a_sequence_of_trials_that_are_made_when_asked_for() -> None:
    made = plan(settings(), WORKLOADS, SUBMISSIONS, PACE, (), "here")
    assert made[0] == make()[0]
    assert made[-2:] == make()[-2:]
    with pytest.raises(IndexError):
        made[len(made)]
    assert made.sizes() == {
        w.name: (4, next(t.budget_s for t in make() if t.workload == w.name)) for w in WORKLOADS
    }


def test_a_trial_is_ordered_with_the_settings_and_what_is_special_about_it() -> None:
    asked = settings(seed=4, ruleset="external", results=Path("kept"), checkpoint_s=7.0, layout=Layout(devices=2))
    ending = over_horizon(WORKLOADS[0], 50.0, stop_at_target=False)
    trial = Trial.of(asked, WORKLOADS[0], SUBMISSIONS[1], ending)
    assert trial.id == TrialId(WORKLOADS[0].name, "adamw", 0, 0)
    assert (trial.suite, trial.seed, trial.ruleset, trial.data) == ("smoke", 4, "external", Path("/data"))
    assert (trial.limits, trial.layout, trial.checkpoint_every_s) == (asked.limits, Layout(devices=2), 7.0)
    assert trial.hidden == (Path("kept").absolute(),)
    assert (trial.hp, trial.checkpoint, trial.code) == (None, None, None)
    special = {"seed": 9, "study": 1, "trial": 2, "ruleset": "self", "hp": {"lr": 0.1}, "layout": SINGLE}
    other = Trial.of(asked, WORKLOADS[0], SUBMISSIONS[1], ending, **special)
    assert other == replace(trial, **special)


def test_a_run_over_the_horizon_is_evaluated_as_often_as_the_workload_says() -> None:
    workload = replace(WORKLOADS[0], step_hint=90, evaluations=20)
    assert over_horizon(workload, 5.0) == EverySteps(every=4, last=90, budget_s=5.0)
    assert over_horizon(replace(workload, step_hint=5), 5.0) == EverySteps(every=1, last=5, budget_s=5.0)


def test_a_stop_rule_changes_how_a_trial_ends_and_nothing_else() -> None:
    trial = make()[0]
    ruled = trial.under(Until(3.0))
    assert ruled.ending == replace(trial.ending, stop_rule=Until(3.0))
    assert replace(ruled, ending=trial.ending) == trial

"""The rules of a running bench: made of its own trials, recorded before or finished since, and of no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.plan import plan
from harness.protocol.racing import POLICIES, Race
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial, results_hash
from scoring.records import Evaluation, Outcome, Record, stored
from submissions.registry import resolve
from tests.scoring.build import record
from workloads import registry

WORKLOAD = registry.find("smoke", "mnist_mlp")
NADAMW, ADAMW = resolve("nadamw"), resolve("adamw")
HERE = "this machine"


def settings(**changes: object) -> Settings:
    return replace(Settings(suite="smoke", ruleset="external", studies=3, trials=2, data=Path("x")), **changes)


def race(recorded: list[Record] = [], **changes: object) -> Race:  # noqa: B006
    return Race(settings(**changes), [WORKLOAD], [NADAMW, ADAMW], HERE, map(stored, recorded))


def trial(study: int, number: int, submission: object = ADAMW) -> Trial:
    trials = plan(settings(), [WORKLOAD], [NADAMW, ADAMW], {"mnist_mlp": 0.01}, (), HERE)
    return next(t for t in trials if (t.study, t.trial, t.submission) == (study, number, submission))


def finished(time_s: float | None, study: int = 0, number: int = 0, submission: object = ADAMW) -> Record:
    made = record(submission.name, "mnist_mlp", time_s, study=study, trial=number)
    return replace(
        made,
        suite="smoke",
        ruleset="external",
        fingerprint=HERE,
        workload_hash=results_hash(WORKLOAD),
        submission_hash=submission.hash,
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_a_first_trial_has_its_whole_budget(policy: str) -> None:
    assert race(stop=policy).rule(trial(0, 0)).until_s == float("inf")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_trial_races_against_its_own_study(policy: str) -> None:
    going = race([finished(7.0)], stop=policy)
    assert going.rule(trial(0, 1)).until_s == 7.0
    assert going.rule(trial(1, 1)).until_s == float("inf")
    going.note(finished(3.0, study=1))
    assert going.rule(trial(1, 1)).until_s == 3.0


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_target_no_trial_is_stopped(policy: str) -> None:
    """Else each would count as a miss, and the next ones were not run."""
    endless = replace(WORKLOAD, target=None)
    missed = [replace(finished(None, study, number), workload_hash=results_hash(endless), target=None)
              for study in range(2) for number in range(2)]  # fmt: skip
    going = Race(settings(stop=policy), [endless], [NADAMW, ADAMW], HERE, map(stored, missed))
    assert going.rule(trial(2, 0)).until_s == float("inf")


@pytest.mark.parametrize(
    "change",
    [{"submission_hash": "older"}, {"workload_hash": "older"}, {"fingerprint": "elsewhere"}, {"ruleset": "self"}],
)
def test_other_versions_and_machines_have_no_say(change: dict[str, str]) -> None:
    going = race([replace(finished(7.0), **change)])
    assert going.rule(trial(0, 1)).until_s == float("inf")


def test_the_policies_stop_for_their_reasons() -> None:
    missed = [finished(None, study=study, number=number) for study in (0, 1) for number in (0, 1)]
    assert race(missed).rule(trial(2, 0)).until_s == float("inf")
    for policy in ("missed", "exact"):
        assert race(missed, stop=policy).rule(trial(2, 0)).stop_reason(0.0, ()) is Outcome.SETTLED
    hit = [finished(7.0, study=study, number=number) for study in (0, 1) for number in (0, 1)]
    assert race(hit, stop="missed").rule(trial(2, 0)).until_s == float("inf")
    assert race(hit, stop="exact").rule(trial(2, 0)).until_s == 7.0
    fast = [finished(1.0, study=study, submission=NADAMW) for study in (0, 1, 2)]
    cut = race(fast, stop="exact").rule(trial(0, 0))
    assert 4.0 < cut.until_s < 4.001
    assert cut.stop_reason(5.0, ()) is Outcome.CUT
    assert race(fast, stop="exact").rule(trial(0, 1, NADAMW)).until_s == 1.0


def at(time_s: float, value: float) -> Evaluation:
    return Evaluation(step=1, examples=1, time_s=time_s, value=value, train_loss=None)


def test_by_the_ladder_a_trial_is_stopped_without_a_target_too() -> None:
    endless = replace(WORKLOAD, target=None)
    curve = [(step, step / 10, 1.0 - step / 1000) for step in range(100, 1000, 100)]
    of_reference = replace(
        record("nadamw", "mnist_mlp", points=curve, higher_is_better=False, target=None, outcome="complete"),
        suite="smoke",
        ruleset="external",
        fingerprint=HERE,
        workload_hash=results_hash(endless),
        submission_hash=NADAMW.hash,
    )
    going = Race(settings(stop="ladder"), [endless], [NADAMW, ADAMW], HERE, [stored(of_reference)])
    order = trial(2, 0)
    rule = going.rule(order)
    late = max(100.0, 0.3 * order.budget_s)
    assert rule.stop_reason(late, [at(late, 0.95)]) is Outcome.UNPROMISING
    assert rule.stop_reason(late, [at(late, 0.05)]) is None
    assert going.rule(trial(2, 0, NADAMW)).stop_reason(late, []) is None

"""What a person reads of a trial."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from harness.report.progress import TrialProgress
from harness.report.words import describe
from scoring.records import Failure, Outcome
from submissions.registry import resolve
from tests.scoring.build import record
from workloads import registry


def test_an_exception_without_a_message_is_described() -> None:
    failure = Failure(hook="update", kind="AssertionError", message="", file="x.py", line=3)
    broken = replace(record(), outcome=Outcome.ERROR, failure=failure)
    assert describe(broken) == "error in update (x.py:3): AssertionError: "


def test_what_an_algorithm_is_not_made_for_is_described() -> None:
    unsuitable = replace(record(), outcome=Outcome.UNSUITABLE, reason="It needs classes.", evaluations=())
    assert describe(unsuitable) == "does not apply: It needs classes."


def test_a_trial_that_was_not_run_says_why() -> None:
    spent = replace(record(), outcome=Outcome.COMPLETE, reason="The list has 3 points.", evaluations=())
    assert describe(spent) == "not run: The list has 3 points."


def test_a_time_taken_beside_other_work_is_described_as_such() -> None:
    calm = record(time=10.0, contention_s=0.5)
    assert describe(replace(calm, contention_s=4.0)) == f"{describe(calm)}; other work took 40% of its core"


WORKLOADS = registry.suite("smoke")[:2]
FIRST, SECOND = (workload.name for workload in WORKLOADS)


def trials() -> list[Trial]:
    settings = Settings(suite="smoke", studies=3, data=Path("x"), results=Path("y"))
    return plan(settings, WORKLOADS, [resolve("nadamw")], {FIRST: 0.01, SECOND: 0.02}, (), "here")


@pytest.mark.parametrize("of", [lambda: trials(), lambda: list(trials())], ids=["plan", "list"])
def test_the_time_left_is_that_of_the_trials_left_at_the_pace_of_their_workload(of) -> None:
    progress = TrialProgress(of(), 2, Console(file=io.StringIO()))
    budgets = {trial.workload: trial.budget_s for trial in trials()}
    assert progress.seconds_left() == pytest.approx(3 * (0.5 * sum(budgets.values()) + 2.0) / 2)
    progress.ended(record("nadamw", FIRST, wall_s=30.0, budget=100.0))
    assert progress.seconds_left() == pytest.approx((2 * 30.0 + 3 * (0.3 * budgets[SECOND] + 1.0)) / 2)
    progress.ended(record("nadamw", FIRST, wall_s=50.0, budget=100.0, study=1))
    assert progress.seconds_left() == pytest.approx((40.0 + 3 * (0.4 * budgets[SECOND] + 1.0)) / 2)
    for lost in trials():
        if lost.workload == SECOND or lost.study == 2:
            progress.lost(lost, "its node died")
    assert progress.seconds_left() == 0.0
    assert progress._left_text() == "done"

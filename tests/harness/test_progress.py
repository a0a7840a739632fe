"""What a person reads of a trial."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from harness.report.progress import TrialProgress
from harness.report.words import describe, duration
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
    off = replace(calm, contention_s=10.0, waited_s=10.0)
    assert describe(off) == f"{describe(calm)}; other work took 50% of its core, which is off its clock"


WORKLOADS = registry.suite("smoke")[:2]
FIRST, SECOND = (workload.name for workload in WORKLOADS)


def trials() -> list[Trial]:
    settings = Settings(suite="smoke", studies=3, data=Path("x"), results=Path("y"))
    return plan(settings, WORKLOADS, [resolve("nadamw")], {FIRST: 0.01, SECOND: 0.02}, (), "here")


@pytest.mark.parametrize("of", [lambda: trials(), lambda: list(trials())], ids=["plan", "list"])
def test_the_time_left_is_that_of_the_trials_left_at_the_speed_of_their_workload(of) -> None:
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


def test_the_time_left_is_shared_out_over_the_devices_that_there_are() -> None:
    progress = TrialProgress(trials(), 1, Console(file=io.StringIO()))
    alone = progress.seconds_left()
    for devices, share in ((2, 2), (6, 6), (0, 1)):
        progress.running((), devices)
        assert progress.seconds_left() == pytest.approx(alone / share)


def test_a_trial_that_was_lost_changes_no_estimate_but_the_count() -> None:
    progress = TrialProgress(trials(), 1, Console(file=io.StringIO()))
    budgets = {trial.workload: trial.budget_s for trial in trials()}
    progress.ended(record("nadamw", FIRST, wall_s=30.0, budget=100.0))
    progress.lost(trials()[-1], "")
    left = {FIRST: 2, SECOND: 3}
    left[trials()[-1].workload] -= 1
    expected = left[FIRST] * 30.0 + left[SECOND] * (0.3 * budgets[SECOND] + 1.0)
    assert progress.seconds_left() == pytest.approx(expected)
    assert progress.total == 6, "those that ended included"


def test_budgets_that_differ_count_by_their_mean() -> None:
    first, *others = [trial for trial in trials() if trial.workload == FIRST]
    listed = [
        replace(first, ending=replace(first.ending, budget_s=10.0)),
        *(replace(trial, ending=replace(trial.ending, budget_s=40.0)) for trial in others),
    ]
    progress = TrialProgress(listed, 1, Console(file=io.StringIO()))
    assert progress.seconds_left() == pytest.approx(3 * (0.5 * 30.0 + 1.0))


def lines_of(show: Callable[[TrialProgress], object]) -> list[str]:
    text = io.StringIO()
    show(TrialProgress(trials(), 1, Console(file=text, width=200)))
    return text.getvalue().splitlines()


def test_each_end_is_a_line_that_counts() -> None:
    tuned = replace(record("nadamw", FIRST, wall_s=30.0, study=2), trial=3)
    first, second = lines_of(lambda progress: [progress.ended(tuned), progress.ended(record("nadamw", SECOND))])
    assert first.startswith(f"[1/6] {FIRST}  nadamw  study 2 trial 3: ")
    assert first.endswith(" left)")
    assert second.startswith(f"[2/6] {SECOND}  nadamw  study 0: ")


@pytest.mark.parametrize(("reason", "shown"), [("one\ntwo", "two"), ("", "unknown reason")])
def test_what_is_run_again_or_lost_is_a_line_with_its_reason(reason: str, shown: str) -> None:
    trial = trials()[0]
    name = f"{trial.workload}  nadamw  study 0"
    assert lines_of(lambda progress: progress.repeated(trial, reason)) == [f"run again: {name}: {shown}"]
    assert lines_of(lambda progress: progress.repeated(trial, reason, "n1")) == [
        f"run again: {name} on n1: {shown}"
    ]
    assert lines_of(lambda progress: progress.lost(trial, reason)) == [
        f"lost: {trial.workload} nadamw study 0: {shown}"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (150, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (36000, "10.0 h"),
    ],
)
def test_durations_are_in_the_unit_that_a_person_takes(seconds: float, text: str) -> None:
    assert duration(seconds) == text

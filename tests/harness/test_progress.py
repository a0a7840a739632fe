"""What a person reads of a trial."""

from __future__ import annotations

from dataclasses import replace

from harness.progress import describe
from harness.records import Failure, Outcome
from tests.scoring.build import record


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

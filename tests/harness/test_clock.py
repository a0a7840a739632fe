"""The stopwatch: every moment is booked once, and only the submission's accounts are on its clock."""

from __future__ import annotations

import pytest

from harness.trial.clock import Stopwatch
from scoring.records.protocol import Account


class FakeTime:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_interval_goes_to_the_account_that_was_running() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.START, now)
    for account, seconds in ((Account.SETUP, 2.0), (Account.TRAINING, 0.5), (Account.EVALUATION, 8.0)):
        now.now += seconds
        watch.switch(account)
    now.now += 1.5
    assert watch.ledger() == (("start", 2.0), ("setup", 0.5), ("training", 8.0), ("evaluation", 1.5))


def test_only_setup_and_training_are_on_the_clock() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.START, now)
    expected = 0.0
    for account in Account:
        watch.switch(account)
        now.now += 1.0
        expected += account in (Account.SETUP, Account.TRAINING)
        assert watch.submission_s() == pytest.approx(expected)


def test_the_clock_runs_while_it_is_read_and_stands_still_when_paused() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.TRAINING, now)
    now.now += 3.0
    assert watch.submission_s() == 3.0
    watch.switch(Account.PAUSED)
    now.now += 60.0
    assert watch.submission_s() == 3.0


def test_a_ledger_adds_up_to_the_time_that_passed() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.START, now)
    for step in range(1, 50):
        now.now += 0.01 * step
        watch.switch(list(Account)[step % len(Account)])
    assert sum(seconds for _, seconds in watch.ledger()) == pytest.approx(now.now - 100.0)


def test_switching_to_the_running_account_starts_no_new_interval() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.TRAINING, now)
    now.now += 1.0
    watch.switch(Account.TRAINING)
    now.now += 1.0
    assert watch.ledger() == (("training", 2.0),)

"""The stopwatch: every moment is booked once, and only the submission's accounts are on its clock."""

from __future__ import annotations

import pytest

from harness.trial.clock import CLOCK_GRACE_S, CLOCK_TOLERANCE, Stopwatch, adds_up
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


def test_a_trial_that_goes_on_has_the_time_before_in_its_ledger_and_on_its_clock() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.START, now)
    now.now += 1.0
    watch.switch(Account.CHECKPOINT)
    now.now += 2.0
    before = (("start", 9.0), ("setup", 3.0), ("training", 4.0), ("evaluation", 5.0))
    watch.resume(before)
    watch.switch(Account.TRAINING)
    now.now += 0.5
    assert watch.ledger() == (*before, ("start", 1.0), ("checkpoint", 2.0), ("training", 0.5))
    assert watch.submission_s() == 3.0 + 4.0 + 0.5


@pytest.mark.parametrize(
    ("took_s", "off_s", "on_s"),
    [(0.5, 0.5, 0.0), (2.0, 2.0, 0.0), (2.5, 2.0, 0.5), (10.0, 2.0, 8.0)],
)
def test_what_takes_longer_than_allowed_is_on_the_clock(took_s: float, off_s: float, on_s: float) -> None:
    now = FakeTime()
    watch = Stopwatch(Account.CHECKPOINT, now)
    now.now += took_s
    watch.overdrawn(2.0, Account.TRAINING)
    now.now += 1.0
    ledger = watch.ledger()
    assert watch.submission_s() == on_s
    assert sum(seconds for account, seconds in ledger if account == "training") == on_s
    assert sum(seconds for account, seconds in ledger if account == "checkpoint") == off_s + 1.0


def test_time_is_overdrawn_once() -> None:
    now = FakeTime()
    watch = Stopwatch(Account.CHECKPOINT, now)
    now.now += 3.0
    watch.overdrawn(2.0, Account.TRAINING)
    watch.overdrawn(2.0, Account.TRAINING)
    assert watch.ledger() == (("checkpoint", 2.0), ("training", 1.0), ("checkpoint", 0.0))


def relieved(*accounts: Account, by_s: float) -> Stopwatch:
    """A second on each account, and the last one running for a second still; then that comes off."""
    now = FakeTime()
    watch = Stopwatch(Account.START, now)
    for account in accounts:
        watch.switch(account)
        now.now += 1.0
    taken_s = watch.relieve(by_s)
    booked = watch.ledger()
    assert sum(seconds for account, seconds in booked if account == "others") == pytest.approx(taken_s)
    assert sum(seconds for _, seconds in booked) == pytest.approx(now.now - 100.0)
    return watch


def test_what_the_cores_worked_for_others_comes_off_the_clock_and_stays_in_the_ledger() -> None:
    watch = relieved(Account.TRAINING, Account.EVALUATION, by_s=0.25)
    expected = (("start", 0.0), ("training", 0.75), ("others", 0.25), ("evaluation", 1.0))
    assert watch.ledger() == expected
    assert watch.submission_s() == 0.75


def test_a_clock_that_runs_is_relieved_too() -> None:
    watch = relieved(Account.TRAINING, by_s=0.25)
    assert watch.ledger() == (("start", 0.0), ("training", 0.75), ("others", 0.25), ("training", 0.0))
    assert watch.submission_s() == 0.75


@pytest.mark.parametrize(
    ("by_s", "setup_s", "training_s"), [(0.5, 1.0, 0.5), (1.0, 1.0, 0.0), (1.5, 0.5, 0.0), (9.0, 0.0, 0.0)]
)
def test_it_is_relieved_of_what_it_ran_since_it_stood_and_of_no_more(
    by_s: float, setup_s: float, training_s: float
) -> None:
    """From the end: set-up and training are one stretch, in which the training is the longer part."""
    watch = relieved(Account.TRAINING, Account.PAUSED, Account.SETUP, Account.TRAINING, Account.LOGGING, by_s=by_s)
    assert watch.ledger()[1:5] == (("training", 1.0), ("paused", 1.0), ("setup", setup_s), ("training", training_s))
    assert watch.ledger()[5] == ("others", min(by_s, 2.0))
    assert watch.submission_s() == 1.0 + setup_s + training_s


def test_a_stretch_is_relieved_once() -> None:
    watch = relieved(Account.TRAINING, Account.PAUSED, by_s=0.25)
    assert watch.relieve(0.5) == 0.0
    assert watch.submission_s() == 0.75


@pytest.mark.parametrize("by_s", [0.0, -1.0])
def test_no_relief_leaves_no_trace(by_s: float) -> None:
    watch = relieved(Account.TRAINING, Account.PAUSED, by_s=by_s)
    assert watch.ledger() == (("start", 0.0), ("training", 1.0), ("paused", 1.0))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("wall_s", "apart_s"), [(1.0, CLOCK_GRACE_S), (100.0, 100.0 * CLOCK_TOLERANCE)])
def test_a_ledger_may_miss_a_hundredth_or_a_moment(sign: int, wall_s: float, apart_s: float) -> None:
    assert adds_up(wall_s, wall_s)
    assert adds_up(wall_s + 0.999 * sign * apart_s, wall_s)
    assert not adds_up(wall_s + 1.001 * sign * apart_s, wall_s)

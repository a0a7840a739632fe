"""What the referee knows of a trial: it survives a checkpoint, and a clock that is off makes no record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.player.messages import EvalReady
from harness.protocol.ending import Ended, EverySteps
from harness.protocol.trial import Trial
from harness.trial import state as state_module
from harness.trial.clock import Stopwatch
from harness.trial.player_handle import MeasurementInvalid
from harness.trial.state import TrialState
from scoring.records import Failure, Outcome
from scoring.records.protocol import Account
from submissions.registry import resolve
from tests.harness.test_clock import FakeTime
from workloads import registry
from workloads.metrics import EvalResult

WORKLOAD = registry.find("smoke", "mnist_mlp")
READY = EvalReady(step=4, examples=64, train_loss=0.5, complete=False, state_bytes=32)
TRIAL = Trial(
    suite="smoke",
    workload="mnist_mlp",
    submission=resolve("sgd"),
    ruleset="self",
    seed=1,
    study=2,
    trial=3,
    data=Path("nowhere"),
    ending=EverySteps(every=4, last=8, budget_s=10.0),
)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock on the wall."""
    clock = FakeTime()
    monkeypatch.setattr(state_module, "wall_clock", clock)
    return clock


def begun(watch_now: FakeTime, wall: FakeTime) -> TrialState:
    return TrialState(Stopwatch(Account.START, watch_now), wall_from=wall.now)


def test_a_record_has_what_was_seen(wall: FakeTime) -> None:
    now = FakeTime()
    state = begun(now, wall)
    state.watch.switch(Account.TRAINING)
    for clock in (now, wall):
        clock.now += 6.0
    state.note(READY, 6.0, EvalResult(0.25, {"more": 1.0}))
    failure = Failure(hook="update", kind="ValueError", message="no")
    record = state.record(TRIAL, WORKLOAD, Ended(Outcome.ERROR, failure, "why"), 0.75)
    assert (record.outcome, record.failure, record.reason) == (Outcome.ERROR, failure, "why")
    assert (record.budget_s, record.evaluation_period_s, record.test_value) == (10.0, 10.0, 0.75)
    assert (record.seed, record.study, record.trial, record.state_bytes) == (1, 2, 3, 32)
    assert record.evaluations == state.evaluations
    assert record.wall_s == 6.0
    assert record.target == WORKLOAD.target
    to_the_end = replace(TRIAL, ending=replace(TRIAL.ending, stop_at_target=False))
    assert state.record(to_the_end, WORKLOAD, Ended(Outcome.COMPLETE), None).target is None


@pytest.mark.parametrize(("slept_s", "recorded"), [(0.0, True), (0.9, True), (1.1, False), (60.0, False)])
def test_a_ledger_that_is_not_the_time_on_the_wall_makes_no_record(
    slept_s: float, recorded: bool, wall: FakeTime
) -> None:
    """The machine sleeps: one clock goes on, the other does not."""
    now = FakeTime()
    state = begun(now, wall)
    now.now += 99.0
    wall.now += 99.0 + slept_s
    if recorded:
        assert state.record(TRIAL, WORKLOAD, Ended(Outcome.COMPLETE), None).wall_s == pytest.approx(99.0 + slept_s)
    else:
        with pytest.raises(MeasurementInvalid, match=rf"holds 99\.000 s of {99 + slept_s:.3f} s"):
            state.record(TRIAL, WORKLOAD, Ended(Outcome.COMPLETE), None)


def test_a_trial_goes_on_from_the_facts_of_its_checkpoint(wall: FakeTime) -> None:
    now = FakeTime()
    state = begun(now, wall)
    state.watch.switch(Account.TRAINING)
    for clock in (now, wall):
        clock.now += 6.0
    state.note(READY, 6.0, EvalResult(None, {"more": None}))
    state.contention_s, state.waited_s, state.clock_started = 0.5, 0.25, 12.0
    facts = json.loads(json.dumps(state.facts()))
    for clock in (now, wall):
        clock.now += 1000.0
    later = begun(now, wall)
    for clock in (now, wall):
        clock.now += 1.0
    later.resume(facts)
    assert later.evaluations == state.evaluations
    assert (later.last_step, later.state_bytes) == (4, 32)
    assert (later.contention_s, later.waited_s) == (0.5, 0.25)
    assert (later.started, later.clock_started, later.resumed) == (state.started, 12.0, 1)
    assert later.wall_s == 7.0, "the time between counts for nothing"
    assert later.watch.submission_s() == 6.0
    assert later.record(TRIAL, WORKLOAD, Ended(Outcome.COMPLETE), None).wall_s == 7.0


def test_the_size_of_the_state_stays_what_was_said_once(wall: FakeTime) -> None:
    state = begun(FakeTime(), wall)
    assert state.last_step == 0
    state.note(READY, 1.0, EvalResult(0.25, {}))
    state.note(replace(READY, step=8, state_bytes=None), 2.0, EvalResult(0.25, {}))
    assert (state.state_bytes, state.last_step) == (32, 8)

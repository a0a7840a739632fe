"""The referee's loop with players that follow a script on a clock that the test moves: no process, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.player import devices
from harness.player.commands import (
    AskForEvaluation,
    Command,
    Continue,
    FetchWeights,
    Freeze,
    SendData,
    SendWeights,
    Thaw,
)
from harness.player.messages import Configured, EvalReady, Loaded, Message, Saving
from harness.protocol.ending import AtSteps, Ended, EverySteps
from harness.protocol.trial import Trial
from harness.trial.clock import Stopwatch
from harness.trial.player_handle import EXIT, MeasurementInvalid, PlayerGone
from harness.trial.referee import Referee
from harness.trial.state import TrialState
from scoring.records import Failure, Outcome
from scoring.records.protocol import Account
from scoring.stopping import Until
from submissions.registry import resolve
from tests.harness.test_clock import FakeTime
from workloads import registry
from workloads.metrics import EvalResult

STEP_S = 0.25
CONFIGURE_S = 0.5
EVALUATION_S = 7.0
NOTED: dict[type, str] = {
    SendWeights: "bind", SendData: "send data", Continue: "proceed", AskForEvaluation: "ask", Freeze: "freeze",
    Thaw: "thaw", FetchWeights: "fetch",
}  # fmt: skip
LOADED = Loaded(hp={"lr": 0.1}, batch_size=16, declined=None)


@dataclass
class FakePlayers:
    """One player that takes `STEP_S` a step, and stops where it was told to or once it is asked.

    `steps` replaces what it says of its steps, `hangs` names the hook that never returns, `after_s` is what
    after_eval takes. `log` notes what it was told to do, and the account that was running then.
    """

    now: FakeTime
    watch: Stopwatch
    steps: Callable[[int], dict] = lambda step: {}
    hangs: str = ""
    after_s: float = 0.0
    loaded: Loaded = LOADED
    gone: PlayerGone | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    told: list[Continue] = field(default_factory=list)
    step: int = 0
    asked: bool = False
    busy_s: float = 0.0
    saying: Message | None = None
    hook: str = "load"

    def note(self, what: str) -> None:
        self.log.append((what, str(self.watch._account)))

    def confined(self) -> tuple[str, ...]:
        if self.gone is not None:
            raise self.gone
        self.saying = self.loaded
        return ("files",)

    def expect(self, kind: type[Message]) -> Message:
        said, self.saying = self.saying, None
        assert isinstance(said, kind), (said, kind)
        return said

    def send(self, command: Command[object]) -> None:
        """Obeys, and notes what it was sent while which account was running."""
        self.note(NOTED[type(command)])
        if isinstance(command, SendData):
            self.hook, self.busy_s = "configure", CONFIGURE_S
        elif isinstance(command, Continue):
            self.told.append(command)
            self.asked = False
            self.now.now += 0.001  # the player may run before its referee does again
        elif isinstance(command, AskForEvaluation):
            self.asked = True
        elif isinstance(command, Thaw):
            self.hook, self.busy_s = "after_eval", self.after_s

    def behind(self) -> str:
        return "rank 1 of 2 "

    def ready_within(self, seconds: float) -> bool:
        """Trains on, for so many seconds at most."""
        ends = self.now.now + max(0.0, seconds)
        while self.saying is None:
            if self.hook == self.hangs or self.now.now + (self.busy_s or STEP_S) > ends + 1e-9:
                self.busy_s = max(0.0, (self.busy_s or STEP_S) - (ends - self.now.now))
                self.now.now = ends
                return False
            self.now.now += self.busy_s or STEP_S
            self.busy_s = 0.0
            self._did()
        return True

    def _did(self) -> None:
        """Ends the hook that was running."""
        if self.hook == "configure":
            self.saying, self.hook = Configured(), "update"
        elif self.hook == "after_eval" and self.told[-1].save:
            self.saying, self.hook = Saving(), "update"
        elif self.hook == "after_eval":
            self.hook = "update"
            if self.after_s == 0.0:
                self.now.now -= STEP_S  # it took no time
        else:
            self.step += 1
            said = self.steps(self.step)
            if self.asked or self.step == self.told[-1].eval_step or said:
                facts = {"step": self.step, "examples": 16 * self.step, "train_loss": 1.0 / self.step}
                self.saying = EvalReady(**{"complete": False, "state_bytes": 64, **facts, **said})


@dataclass
class FakeEvaluator:
    """Gives these values, one after the other, then the last one for ever."""

    now: FakeTime
    players: FakePlayers
    workload: object
    values: list[float | None]
    differs: str | None = None
    raises: Exception | None = None
    calls: int = 0

    @property
    def weights(self) -> object:
        return SimpleNamespace(buffers=(), gather=lambda: self.differs)

    def ready(self) -> None:
        self.players.note("evaluator ready")

    def validated(self) -> EvalResult:
        self.players.note("evaluate")
        if self.raises is not None:
            raise self.raises
        self.now.now += EVALUATION_S
        self.calls += 1
        return EvalResult(self.values[min(self.calls, len(self.values)) - 1], {"more": 2.0})


@dataclass
class FakeContention:
    """Notes when it was told that the clock runs. Others have a `share` of the core, for which the player waits."""

    players: FakePlayers
    taken_s: float | None = 0.125
    share: float | None = None
    since: float | None = None

    @property
    def relieves(self) -> bool:
        return self.share is not None

    def clock_runs(self) -> None:
        self.players.note("contention runs")
        self.since = self.players.now.now

    def relief_s(self) -> float:
        return 0.0 if self.since is None else (self.share or 0.0) * (self.players.now.now - self.since)

    def clock_stands(self) -> float:
        self.players.note("contention stands")
        relief_s, self.since = self.relief_s(), None
        return relief_s


@dataclass
class FakeResumption:
    """Saves at every evaluation, or never."""

    now: FakeTime
    is_due: bool = False
    saved: None = None
    saves: int = 0

    def save(self, players: FakePlayers, weights: object, state: TrialState, contention: FakeContention) -> None:
        assert contention.since is None, "the clock stands"
        state.watch.switch(Account.CHECKPOINT)
        self.now.now += 3.0
        self.saves += 1


class Rig:
    """A referee among fakes: on the smallest workload with a target of 0.1, which the error has to fall to."""

    def __init__(self, order: Trial, folder: Path) -> None:
        workload = replace(registry.find("smoke", "mnist_mlp"), target=0.1)
        assert not workload.metric.higher_is_better
        self.trial = replace(order, data=folder, limits=replace(order.limits, stall_s=50.0))
        self.now = FakeTime()
        self.state = TrialState(Stopwatch(Account.START, self.now))
        self.players = FakePlayers(self.now, self.state.watch)
        self.evaluator = FakeEvaluator(self.now, self.players, workload, [0.5])
        self.contention = FakeContention(self.players)
        self.resumption = FakeResumption(self.now)

    def conduct(self, ending: EverySteps | AtSteps) -> Ended:
        referee = Referee(
            trial=replace(self.trial, ending=ending),
            evaluator=self.evaluator,
            players=self.players,
            contention=self.contention,
            resumption=self.resumption,
            state=self.state,
        )
        return referee.conduct()

    @property
    def times(self) -> list[float]:
        return [evaluation.time_s for evaluation in self.state.evaluations]

    @property
    def steps(self) -> list[int]:
        return [evaluation.step for evaluation in self.state.evaluations]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    order = Trial(
        suite="smoke",
        workload="mnist_mlp",
        submission=resolve("sgd"),
        ruleset="self",
        seed=0,
        data=tmp_path,
        ending=EverySteps(every=4, budget_s=5.0, period_s=1.0),
    )
    return Rig(order, tmp_path)


GRID = EverySteps(every=4, budget_s=5.0, period_s=1.0)
STEPS = EverySteps(every=4, last=10, budget_s=100.0)


@pytest.mark.parametrize("after_s", [0.0, 0.125, 0.375])
def test_the_grid_is_evaluated_until_the_budget_ends_the_trial(after_s: float, rig: Rig) -> None:
    """However long the submission takes, evaluations fall on the grid, save the last one."""
    rig.players.after_s = after_s
    assert rig.conduct(GRID) == Ended(Outcome.BUDGET)
    *on_grid, last = rig.steps
    assert on_grid == [4, 8, 12, 16][: len(on_grid)]
    assert len(on_grid) >= 3
    assert on_grid[-1] < last < on_grid[-1] + 4
    assert rig.times[-1] == pytest.approx(5.0, abs=STEP_S + 0.1)
    assert rig.times[-1] >= 5.0
    assert rig.evaluator.calls == len(rig.steps)


def test_a_player_that_is_not_heard_of_is_asked_and_the_grid_stays(rig: Rig) -> None:
    rig.trial = replace(rig.trial, limits=replace(rig.trial.limits, stall_s=2.25))
    rig.conduct(EverySteps(every=12, budget_s=8.0, period_s=1.0))
    assert [told.eval_step for told in rig.players.told[:3]] == [12, 12, 24]
    assert rig.steps[0] < 12 == rig.steps[1]


def test_every_steps_are_evaluated_up_to_the_last(rig: Rig) -> None:
    assert rig.conduct(STEPS) == Ended(Outcome.COMPLETE)
    assert rig.steps == [4, 8, 10]
    assert [told.eval_step for told in rig.players.told] == [4, 8, 10]
    assert "ask" not in dict(rig.players.log)


def test_at_steps_the_clock_does_not_matter(rig: Rig) -> None:
    assert rig.conduct(AtSteps(steps=(1, 7, 30), budget_s=0.1, period_s=0.1)) == Ended(Outcome.COMPLETE)
    assert rig.steps == [1, 7, 30]


def test_what_is_seen_at_an_evaluation_is_noted(rig: Rig) -> None:
    rig.conduct(STEPS)
    first = rig.state.evaluations[0]
    assert (first.step, first.examples, first.value, first.train_loss) == (4, 64, 0.5, 0.25)
    assert first.extra_metrics == {"more": 2.0}
    assert (rig.state.guards, rig.state.hp, rig.state.batch_size) == (("files",), {"lr": 0.1}, 16)
    assert (rig.state.state_bytes, rig.state.contention_s) == (64, 0.125)
    assert [told.value for told in rig.players.told] == [None, 0.5, 0.5]


def test_set_up_and_steps_are_on_the_clock_and_evaluations_are_not(rig: Rig) -> None:
    rig.conduct(STEPS)
    expected = [CONFIGURE_S + 0.001 + STEP_S * step for step in (4, 8, 10)]
    assert rig.times == pytest.approx(expected, abs=1e-9)
    assert [told.submission_s for told in rig.players.told] == pytest.approx([CONFIGURE_S, *expected[:2]])
    booked = dict.fromkeys(Account, 0.0)
    for account, seconds in rig.state.watch.ledger():
        booked[Account(account)] += seconds
    assert booked[Account.EVALUATION] == pytest.approx(3 * EVALUATION_S)
    assert booked[Account.SETUP] == pytest.approx(CONFIGURE_S)


def test_the_clock_stands_exactly_while_the_players_do(rig: Rig) -> None:
    """What happens in one round, in this order, each on its account."""
    rig.conduct(EverySteps(every=4, last=8, budget_s=100.0))
    assert rig.players.log == [
        ("evaluator ready", "start"),
        ("bind", "start"),
        ("contention runs", "start"),
        ("send data", "setup"),
        ("proceed", "training"),  # who has leave to train may run before the referee does again
        ("freeze", "training"),
        ("contention stands", "evaluation"),
        ("fetch", "evaluation"),
        ("evaluate", "evaluation"),
        ("proceed", "paused"),
        ("contention runs", "paused"),
        ("thaw", "training"),
        ("freeze", "training"),
        ("contention stands", "evaluation"),
        ("fetch", "evaluation"),
        ("evaluate", "evaluation"),
    ]


def test_saving_is_off_the_clock_and_training_goes_on_before_there_is_leave_to(rig: Rig) -> None:
    rig.resumption.is_due = True
    rig.conduct(EverySteps(every=4, last=12, budget_s=100.0))
    assert rig.steps == [4, 8, 12]
    assert rig.resumption.saves == 2
    assert rig.times[-1] < CONFIGURE_S + 12 * STEP_S + 1.0
    assert [entry for entry in rig.players.log if entry[0] == "proceed"] == [
        ("proceed", "training"),
        *[("proceed", "paused"), ("proceed", "training")] * 2,
    ]
    assert [told.eval_step for told in rig.players.told] == [4, 8, 8, 12, 12]
    assert [told.save for told in rig.players.told] == [False, True, False, True, False]


# ---- A core that works for others.


def booked_s(rig: Rig, account: Account) -> float:
    return sum(seconds for name, seconds in rig.state.watch.ledger() if name == account)


def test_what_others_had_of_the_core_is_on_no_clock(rig: Rig) -> None:
    """They have half of it, so that each step takes half as long by the clock."""
    rig.contention.share = 0.5
    rig.conduct(STEPS)
    alone = [CONFIGURE_S + 0.001 + STEP_S * step for step in (4, 8, 10)]
    assert rig.times == pytest.approx([time_s / 2 for time_s in alone], abs=1e-3)
    assert [told.submission_s for told in rig.players.told] == pytest.approx(
        [CONFIGURE_S / 2, *rig.times[:2]], abs=1e-3
    )
    assert rig.state.waited_s == pytest.approx(rig.times[-1], abs=1e-3)
    assert booked_s(rig, Account.OTHERS) == pytest.approx(rig.state.waited_s)
    assert sum(seconds for _, seconds in rig.state.watch.ledger()) == pytest.approx(rig.now.now - 100.0)


def test_by_the_clock_of_the_wall_nothing_is_known_to_come_off(rig: Rig) -> None:
    rig.conduct(STEPS)
    assert rig.state.waited_s is None
    assert booked_s(rig, Account.OTHERS) == 0.0


@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_budget_is_waited_for_until_it_is_spent_by_the_clock(share: float, saves: bool, rig: Rig) -> None:
    """So that a trial makes as many steps as its core had time for."""
    rig.contention.share = share
    rig.resumption.is_due = saves
    assert rig.conduct(replace(GRID, every=8)) == Ended(Outcome.BUDGET)
    assert rig.times[-1] == pytest.approx(5.0, abs=0.01 + STEP_S)
    turns = rig.steps[-1] + rig.resumption.saves  # a player that saves takes as long as a step for it
    assert turns == pytest.approx((5.0 / (1 - share) - CONFIGURE_S) / STEP_S, abs=4)


@pytest.mark.parametrize("hook", ["configure", "update", "after_eval"])
def test_a_hook_has_its_time_by_the_clock(hook: str, rig: Rig) -> None:
    rig.contention.share = 0.5
    rig.players.hangs = hook
    rig.resumption.is_due = hook == "after_eval"
    ended = rig.conduct(GRID)
    assert (ended.outcome, ended.failure.hook, ended.failure.kind) == (Outcome.BUDGET, hook, "Overrun")
    assert rig.state.watch.submission_s() == pytest.approx(6.0, abs=0.01)
    assert booked_s(rig, Account.OTHERS) == pytest.approx(6.0, abs=0.01)


def test_a_player_that_breaks_has_waited_until_then(rig: Rig) -> None:
    rig.contention.share = 0.5
    rig.players.steps = lambda made: {"step": 3} if made == 3 else {}
    assert rig.conduct(STEPS).outcome is Outcome.ERROR
    assert rig.state.watch.submission_s() == pytest.approx((CONFIGURE_S + 3 * STEP_S) / 2, abs=1e-3)


# ---- Endings.


@pytest.mark.parametrize(("value", "steps"), [(0.1, [4]), (0.0999, [4]), (0.1001, [4, 8])])
def test_the_target_ends_a_trial_at_equality_too(value: float, steps: list[int], rig: Rig) -> None:
    rig.evaluator.values = [value, 0.0]
    assert rig.conduct(STEPS) == Ended(Outcome.REACHED)
    assert rig.steps == steps


def test_a_value_that_is_not_finite_ends_a_trial(rig: Rig) -> None:
    rig.evaluator.values = [0.5, None]
    assert rig.conduct(STEPS) == Ended(Outcome.DIVERGED)
    assert rig.steps == [4, 8]


def test_a_submission_ends_its_trial_at_any_step(rig: Rig) -> None:
    rig.players.steps = lambda step: {"complete": True} if step == 3 else {}
    assert rig.conduct(STEPS) == Ended(Outcome.COMPLETE)
    assert rig.steps == [3]


def test_a_stop_rule_is_asked_when_its_time_has_come(rig: Rig) -> None:
    assert rig.conduct(replace(GRID, stop_rule=Until(2.6, Outcome.CUT))) == Ended(Outcome.CUT)
    assert rig.steps == [4, 8, 9]
    assert 2.6 <= rig.times[-1] <= 2.6 + STEP_S


def test_a_trial_without_time_trains_nothing(rig: Rig) -> None:
    assert rig.conduct(replace(GRID, stop_rule=Until(0.0, Outcome.SETTLED))) == Ended(Outcome.SETTLED)
    assert rig.players.log == []
    assert rig.state.hp == {"lr": 0.1}
    assert rig.state.watch.submission_s() == 0.0


@pytest.mark.parametrize("outcome", [Outcome.UNSUITABLE, Outcome.COMPLETE])
def test_a_submission_that_declines_trains_nothing(outcome: Outcome, rig: Rig) -> None:
    rig.players.loaded = replace(LOADED, declined=(outcome, "why"))
    assert rig.conduct(GRID) == Ended(outcome, None, "why")
    assert rig.players.log == []


@pytest.mark.parametrize(
    ("hook", "allowed", "steps"), [("configure", "6.0", []), ("update", "1.0", []), ("after_eval", "4.5", [4])]
)
def test_a_hook_that_hangs_is_a_miss(hook: str, allowed: str, steps: list[int], rig: Rig) -> None:
    """It has until a budget and a period are over."""
    rig.players.hangs = hook
    rig.resumption.is_due = hook == "after_eval"
    message = f"rank 1 of 2 did not come back from {hook} within {allowed} s; the player was stopped"
    assert rig.conduct(GRID) == Ended(Outcome.BUDGET, Failure(hook=hook, kind="Overrun", message=message))
    assert rig.steps == steps
    assert rig.state.watch.submission_s() == pytest.approx(6.0, abs=1e-6)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_evaluation_that_is_not_due_is_a_breach(step: int, rig: Rig) -> None:
    rig.players.steps = lambda made: {"step": step} if made == step else {}
    message = f"the player asked for an evaluation at step {step}, before one was due"
    failure = Failure(hook="update", kind="ProtocolError", message=message)
    assert rig.conduct(STEPS) == Ended(Outcome.ERROR, failure)
    assert rig.steps == [4][: step // 4]
    assert rig.evaluator.calls == step // 4, "such an evaluation is not made"


def test_an_evaluation_cannot_be_skipped(rig: Rig) -> None:
    """By a player that says nothing at step 8, and comes when it is asked, or says that it is complete."""
    rig.players.steps = lambda made: {"step": 11, "complete": True} if made == 7 else {}
    message = "the player is at step 11, past the evaluation that was due at step 8"
    assert rig.conduct(GRID) == Ended(Outcome.ERROR, Failure(hook="update", kind="ProtocolError", message=message))
    assert rig.steps == [4]


@pytest.mark.parametrize("back", [{"step": 3}, {"examples": 63}])
def test_going_back_is_a_breach(back: dict, rig: Rig) -> None:
    rig.players.steps = lambda made: {"complete": True, **back} if made == 8 else {}
    message = f"the player went from step 4 back to step {back.get('step', 8)}"
    failure = Failure(hook="update", kind="ProtocolError", message=message)
    assert rig.conduct(STEPS) == Ended(Outcome.ERROR, failure)
    assert rig.steps == [4]


def test_an_evaluation_that_was_asked_for_may_come_at_any_step(rig: Rig) -> None:
    rig.conduct(replace(STEPS, every=1000, last=1000, budget_s=2.0))
    assert len(rig.steps) == 1
    assert rig.steps[0] < 1000


def test_ranks_that_differ_are_an_error(rig: Rig) -> None:
    rig.evaluator.differs = "layers.0.weight"
    outcome, failure, _ = rig.conduct(STEPS)
    assert (outcome, failure.kind, rig.evaluator.calls) == (Outcome.ERROR, "RanksDiffer", 0)
    assert "different values of layers.0.weight" in failure.message


@pytest.mark.parametrize("error", [MemoryError("no more"), RuntimeError("DefaultCPUAllocator: can't allocate")])
def test_an_evaluation_without_memory_is_an_error(error: Exception, rig: Rig) -> None:
    rig.evaluator.raises = error
    failure = Failure(hook="evaluation", kind=devices.OUT_OF_MEMORY, message=str(error))
    assert rig.conduct(STEPS) == Ended(Outcome.ERROR, failure)


def test_a_mistake_of_ours_is_no_outcome(rig: Rig) -> None:
    rig.evaluator.raises = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        rig.conduct(STEPS)


def test_a_player_that_cannot_be_started_is_no_outcome(rig: Rig) -> None:
    rig.players.gone = PlayerGone(Failure(hook="load", kind=EXIT, message="killed"))
    with pytest.raises(MeasurementInvalid, match="no player could be started: killed"):
        rig.conduct(STEPS)


def test_a_player_that_breaks_while_it_starts_is_an_error(rig: Rig) -> None:
    failure = Failure(hook="load", kind="Timeout", message="late")
    rig.players.gone = PlayerGone(failure)
    assert rig.conduct(STEPS) == Ended(Outcome.ERROR, failure)

"""One trial, from order to record: the referee trains a submission on a workload and measures it.

Runs where neither ray nor mlflow is installed. The referee is this process; the player, which alone runs code of
the submission, is its child.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.player import devices
from harness.player.commands import (
    AskForEvaluation,
    Continue,
    FetchWeights,
    Freeze,
    SendData,
    SendWeights,
    Thaw,
)
from harness.player.messages import Configured, EvalReady, Loaded, Saving
from harness.player.weights import Weights
from harness.protocol import ending, seeds
from harness.protocol.ending import Ended, NextEvaluation, Overrun
from harness.protocol.trial import Trial
from harness.system import machine, packages
from harness.system.machine import Device
from harness.trial.checkpoint_store import FILES, CheckpointStore
from harness.trial.clock import Stopwatch
from harness.trial.contention import CoreContention
from harness.trial.evaluator import Evaluator, initial_model
from harness.trial.evaluator_pool import EvaluatorPool
from harness.trial.player_handle import EXIT, MeasurementInvalid, PlayerGone
from harness.trial.player_specs import player_specs
from harness.trial.players import Players
from harness.trial.remote_player import RemoteSlots
from harness.trial.resume import Resumption
from harness.trial.state import TrialState
from scoring.records import Evaluation, Failure, Outcome, Record
from scoring.records.protocol import Account
from workloads.base import Precision

_CPU = torch.device("cpu")
_LEAST_WAIT_S = 0.005


def run_trial(
    trial: Trial,
    own_devices: Sequence[Device] = (),
    checkpoint_store: CheckpointStore = FILES,
    remote_slots: RemoteSlots | None = None,
) -> Record:
    """Runs one trial on these devices, as `exclusive_devices` gives them, or on any cores, and returns its record.
    Of a trial that spans several machines, `remote_slots` start the players that are not on this one.

    The trial goes on from its checkpoint where `checkpoint_store` has one. Whatever the submission does wrong
    becomes the record's outcome. Raises what is wrong with us: DatasetError, PackagesError, ValueError for an
    unknown workload; and MeasurementInvalid where the measurement was spoilt from outside and has to be repeated.
    """
    state = TrialState(Stopwatch(Account.START))
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    devices.set_products(Precision.FP32)
    workload = trial.find_workload()
    folder = workload.dataset.prepare(trial.data.absolute())
    installed = packages.install(trial.submission, trial.data.absolute())
    model = initial_model(workload, seeds.init_seed(trial.seed, workload.name, trial.study, trial.trial))
    state.parameters = sum(parameter.numel() for parameter in model.parameters())
    resumption = Resumption(trial, workload, checkpoint_store)
    with contextlib.ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="pacer-trial-"))).resolve()
        own_devices = tuple(own_devices) or (Device(),) * trial.layout.each
        host = None if remote_slots is None else remote_slots.host
        specs = player_specs(trial, workload, folder, own_devices, scratch, installed, host=host)
        weights = Weights(model, _weights_devices(own_devices, trial.layout.devices))
        held.callback(weights.close)
        with Players(trial, specs, weights.buffers, remote_slots) as players:
            pool = None
            if weights.judged_buffer is not None:
                cores = [device.core for device in own_devices[1:]]
                pool = held.enter_context(EvaluatorPool(workload, folder, weights.judged_buffer, cores))
            referee = Referee(
                trial=trial,
                evaluator=Evaluator.of(workload, folder, weights, pool),
                players=players,
                contention=CoreContention(own_devices, lambda: players.core_uses),
                resumption=resumption,
                state=state,
            )
            ended = referee.conduct()
            state.watch.switch(Account.PAUSED)
        state.watch.switch(Account.EVALUATION)
        test_value = referee.evaluator.tested().value if ended.outcome is Outcome.REACHED else None
        state.watch.switch(Account.LOGGING)
    return state.record(trial, workload, ended, test_value)


def _weights_devices(own_devices: Sequence[Device], ranks: int) -> list[torch.device]:
    """Where the weights of each rank lie in this process: on its GPU, and of ranks on other machines in memory."""
    own = [torch.device("cuda", number) if device.gpu else _CPU for number, device in enumerate(own_devices)]
    return own + [_CPU] * (ranks - len(own))


@dataclass(frozen=True, kw_only=True)
class Referee:
    """Conducts a trial with players that have been started, and notes what it sees in `state`.

    Of several players the slowest counts: all have to reach an evaluation before the clock stands still.
    """

    trial: Trial
    evaluator: Evaluator
    players: Players
    contention: CoreContention
    resumption: Resumption
    state: TrialState

    def conduct(self) -> Ended:
        """Takes the trial from the players' start to its end. Raises MeasurementInvalid."""
        try:
            return self._load() or self._train(self._set_up())
        except Overrun as overrun:
            ended = overrun.ended
        except PlayerGone as gone:
            ended = ending.broke(gone.failure)
        except (MemoryError, RuntimeError) as error:
            if not devices.ran_out_of_memory(error):
                raise
            ended = ending.broke(Failure(hook="evaluation", kind=devices.OUT_OF_MEMORY, message=str(error)))
        self.state.watch.relieve(self.contention.clock_stands())  # it may have run until now
        return ended

    def _load(self) -> Ended | None:
        """Waits until the submission is loaded, off its clock; returns how the trial ends if it does so before it
        trains."""
        try:
            self.state.guards = self.players.confined()
        except PlayerGone as gone:
            if gone.failure.kind == EXIT:  # no code of the submission has run yet
                raise MeasurementInvalid(f"no player could be started: {gone.failure.message}") from gone
            raise
        loaded = self.players.expect(Loaded)
        self.state.hp, self.state.batch_size = loaded.hp, loaded.batch_size
        self.state.clock_started = time.time()
        if loaded.declined is not None:
            return ending.declined(*loaded.declined)
        return ending.before_training(self.trial.ending)

    def _set_up(self) -> NextEvaluation:
        """Has the submission configure itself, and a trial that goes on be where it was; then the players train.

        Returns when the first evaluation is due.
        """
        evaluator, players, state, saved = self.evaluator, self.players, self.state, self.resumption.saved
        evaluator.ready()
        players.send(SendWeights())
        # ---- The submission's clock runs from here, whenever a player can run; in a trial that goes on, once that
        # ---- is back where it was.
        self.contention.clock_runs()
        state.watch.switch(Account.SETUP if saved is None else Account.CHECKPOINT)
        players.send(SendData())
        self._await("configure")
        players.expect(Configured)
        if saved is not None:
            self.resumption.restore(saved, players, evaluator.weights, state, self.contention)
            self.contention.resume(state.contention_s)
            self.contention.clock_runs()
        time_s = state.watch.submission_s() - self.contention.relief_s()
        due = self._next_evaluation(time_s)
        self._let_train(due, time_s)
        return due

    def _train(self, due: NextEvaluation) -> Ended:
        """Evaluates the players' weights whenever that is due, until the trial ends."""
        players, state, watch = self.players, self.state, self.state.watch
        while True:
            # ---- The clock runs: the players train.
            asked = not self._ready_within(due.ask_at_s - watch.submission_s())
            if asked:
                players.send(AskForEvaluation())
                self._await("update")
            ready = players.expect(EvalReady)
            players.send(Freeze())

            # ---- The clock stands still: nothing of a player can run.
            self._stand(Account.EVALUATION)
            time_s = watch.submission_s()
            _must_be_due(ready, due, asked, state.evaluations)
            players.send(FetchWeights())
            _must_agree(self.evaluator.weights.gather())
            result = self.evaluator.validated()
            watch.switch(Account.LOGGING)
            state.note(ready, time_s, result)
            met = self.evaluator.workload.reaches(result.value)
            outcome = self.trial.ending.outcome(state.evaluations, met=met, complete=ready.complete)
            if outcome is not None:
                return Ended(outcome)
            due, save = self._next_evaluation(time_s), self.resumption.is_due
            watch.switch(Account.PAUSED)
            players.send(Continue(submission_s=time_s, eval_step=due.step, value=result.value, save=save))
            self.contention.clock_runs()
            watch.switch(Account.TRAINING)

            # ---- The clock runs again.
            players.send(Thaw())
            if save:
                self._await("after_eval")
                players.expect(Saving)
                self._stand(Account.CHECKPOINT)  # while it copies
                self.resumption.save(players, self.evaluator.weights, state, self.contention)
                self.contention.clock_runs()
                self._let_train(due, watch.submission_s())

    def _stand(self, account: Account) -> None:
        """The clock stands, and time is booked to an account off it; what the players waited for others while it
        ran comes off it, too."""
        state = self.state
        state.watch.switch(account)
        waited_s = state.watch.relieve(self.contention.clock_stands())
        state.contention_s = self.contention.taken_s
        if self.contention.relieves:
            state.waited_s = (state.waited_s or 0.0) + waited_s

    def _let_train(self, due: NextEvaluation, time_s: float) -> None:
        """Has players that wait train until an evaluation is due; their clock shows this time."""
        # The clock runs before there is leave to train: who has that may run before this process does again.
        self.state.watch.switch(Account.TRAINING)
        self.players.send(Continue(submission_s=time_s, eval_step=due.step))

    def _next_evaluation(self, time_s: float) -> NextEvaluation:
        return self.trial.ending.next_evaluation(self.state.last_step, time_s, self.trial.limits.stall_s)

    def _await(self, hook: str) -> None:
        """Waits until the players have returned from a hook. Raises Overrun where that takes them too long."""
        relief_s = self.contention.relief_s()
        time_s = max(0.0, self.state.watch.submission_s() - relief_s)
        allowed_s = self.trial.ending.patience_s(time_s, self.trial.limits.stall_s)
        if not self._ready_within(allowed_s, relief_s):
            raise Overrun(hook, allowed_s, self.players.behind())

    def _ready_within(self, seconds: float, relief_s: float = 0.0) -> bool:
        """Waits until the players are ready, for so many seconds of the submission's clock at most. `relief_s` of
        the running stretch are off that already."""
        while not self.players.ready_within(seconds):
            # So much has gone by on the wall; what of it went to others is still to come.
            known_s = self.contention.relief_s()
            seconds, relief_s = known_s - relief_s, known_s
            if seconds < _LEAST_WAIT_S:
                return False
        return True


def _must_be_due(ready: EvalReady, due: NextEvaluation, asked: bool, before: Sequence[Evaluation]) -> None:
    """Raises PlayerGone where the player evaluates although nothing is due, has trained past the step at which it
    had to stop, or has gone back in time."""
    if not (asked or ready.complete or ready.step == due.step):
        message = f"the player asked for an evaluation at step {ready.step}, before one was due"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))
    if due.step is not None and ready.step > due.step:
        message = f"the player is at step {ready.step}, past the evaluation that was due at step {due.step}"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))
    if before and (ready.step < before[-1].step or ready.examples < before[-1].examples):
        message = f"the player went from step {before[-1].step} back to step {ready.step}"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))


def _must_agree(parameter: str | None) -> None:
    """Raises PlayerGone where ranks hold different values of a parameter at an evaluation."""
    if parameter is not None:
        message = (
            f"the ranks hold different values of {parameter}, expected the same on all: call the model as a whole, "
            "so that gradients are those of the whole batch, or bring the weights together in before_eval"
        )
        raise PlayerGone(Failure(hook="update", kind="RanksDiffer", message=message))

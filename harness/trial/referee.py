"""One trial, from order to record: the referee trains a submission on a workload and measures it.

Runs where neither ray nor mlflow is installed. The referee is this process; the player, which alone runs code of
the submission, is its child.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Sequence
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
from harness.player.messages import Configured, EvalReady, Loaded, Restored, Saving
from harness.player.weights import Weights
from harness.protocol import seeds
from harness.protocol.trial import Trial
from harness.system import machine, packages
from harness.system.machine import Device
from harness.trial import checkpoints
from harness.trial.checkpoint_store import FILES, CheckpointStore
from harness.trial.checkpoints import Checkpoint
from harness.trial.clock import Account, Stopwatch, wall_clock
from harness.trial.contention import CoreContention
from harness.trial.evaluator import Evaluator, initial_model
from harness.trial.evaluator_pool import EvaluatorPool
from harness.trial.player_handle import EXIT, LOAD_TIMEOUT_S, MeasurementInvalid, PlayerGone
from harness.trial.player_specs import player_specs
from harness.trial.players import Players
from harness.trial.remote_player import RemoteSlots
from harness.trial.state import TrialState, identity
from scoring.records import Evaluation, Failure, Outcome, Record
from workloads import registry
from workloads.base import Precision, Workload
from workloads.datasets.base import open_split

_CPU = torch.device("cpu")
_COPY_GRACE_S, _COPY_BYTES_PER_S, _RESTORE_GRACE_S = 0.05, 200e6, 0.5
"""What a player may take off the clock to copy its state, and to take it up again."""

_ORDINARY_BYTES, _ORDINARY_WEIGHTS = 4 * 2**20, 16
_LARGEST_BYTES, _LARGEST_WEIGHTS = 256 * 2**20, 256
"""A state of an ordinary size, and the largest that is kept: so many bytes, and so many times the weights'."""


def run_trial(
    trial: Trial,
    places: Sequence[Device] = (),
    checkpoint_store: CheckpointStore = FILES,
    remote_slots: RemoteSlots | None = None,
) -> Record:
    """Runs one trial on these devices, as `exclusive_devices` gives them, or on any cores, and returns its record.
    Of a trial that lies on several machines, `remote_slots` keep the players that are not on this one.

    It goes on from its checkpoint where `checkpoint_store` has one. Whatever the submission does wrong becomes
    the record's
    outcome. Raises what is wrong with us: DatasetError, PackagesError, ValueError for an unknown workload; and
    Disturbed where the measurement was spoilt from outside and has to be repeated.
    """
    course = TrialState(Stopwatch(Account.START))
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    devices.set_products(Precision.FP32)
    workload = registry.find(trial.suite, trial.workload)
    folder = workload.dataset.prepare(trial.data.absolute())
    further = packages.install(trial.submission, trial.data.absolute())
    validation = open_split(folder, "validation", workload.validation_examples)
    model = initial_model(workload, seeds.init_seed(trial.seed, workload.name, trial.study, trial.trial))
    course.parameters = sum(parameter.numel() for parameter in model.parameters())
    saved = (
        checkpoints.load(trial.checkpoint, identity(trial, workload), checkpoint_store)
        if trial.checkpoint
        else None
    )
    with contextlib.ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="pacer-trial-"))).resolve()
        places = tuple(places) or (Device(),) * trial.layout.each
        host = None if remote_slots is None else remote_slots.host
        here = player_specs(trial, workload, folder, places, scratch, further, host=host)
        weights = Weights(model, _where(places, trial.layout.devices))
        held.callback(weights.close)
        helpers = None
        with Players(trial, here, weights.buffers, remote_slots) as players:
            if weights.judged_buffer is not None:
                cores = [place.core for place in places[1:]]
                helpers = EvaluatorPool(workload, folder, weights.judged_buffer, cores)
                held.enter_context(helpers)
            neighbours = CoreContention(places, lambda: players.worked_s)
            judge = Evaluator(
                workload=workload, weights=weights, folder=folder, validation=validation, helpers=helpers
            )
            try:
                _referee(trial, judge, players, neighbours, course, saved, checkpoint_store)
            except PlayerGone as gone:
                course.outcome, course.failure = Outcome.ERROR, gone.failure
            except (MemoryError, RuntimeError) as error:
                if not devices.ran_out_of_memory(error):
                    raise
                course.outcome = Outcome.ERROR
                course.failure = Failure(hook="evaluation", kind=devices.OUT_OF_MEMORY, message=str(error))
            course.watch.switch(Account.PAUSED)
        assert course.outcome is not None
        course.watch.switch(Account.EVALUATION)
        test_value = judge.tested().value if course.outcome is Outcome.REACHED else None
        course.watch.switch(Account.LOGGING)
    return course.record(trial, workload, test_value)


def _where(places: Sequence[Device], ranks: int) -> list[torch.device]:
    """Where the weights of each rank lie in this process: on its GPU, and of ranks on other machines in memory."""
    here = [torch.device("cuda", number) if place.gpu else _CPU for number, place in enumerate(places)]
    return here + [_CPU] * (ranks - len(here))


def _referee(
    trial: Trial,
    judge: Evaluator,
    players: Players,
    neighbours: CoreContention,
    course: TrialState,
    saved: Checkpoint | None,
    checkpoint_store: CheckpointStore,
) -> None:
    """Conducts the trial from the players' start to its outcome, which is left in `course`.

    Of several players the slowest counts: all have to come to a border before the clock stands still.
    """
    watch, workload, weights = course.watch, judge.workload, judge.weights
    period = trial.evaluation_period_s
    last = min(trial.budget_s, trial.rule.until_s)  # when an evaluation decides, whatever the period
    try:
        course.guards = players.confined()
    except PlayerGone as gone:
        if gone.failure.kind == EXIT:  # no code of the submission has run yet
            raise MeasurementInvalid(f"no player could be started: {gone.failure.message}") from gone
        raise
    loaded = players.expect(Loaded)
    course.hp, course.batch_size = loaded.hp, loaded.batch_size
    course.clock_started = time.time()
    if loaded.declined is not None:
        course.outcome, course.reason = loaded.declined
        return None
    if trial.rule.until_s <= 0:
        course.outcome = trial.rule.stop_reason(0.0, ())
        return None
    judge.ready()
    players.send(SendWeights())

    # ---- the submission's clock runs from here, whenever the player can run; in a trial that goes on, once it is
    # back where it was
    neighbours.clock_runs()
    watch.switch(Account.SETUP if saved is None else Account.CHECKPOINT)
    players.send(SendData())
    if not players.ready_within(allowed := _patience(trial, course)):
        return _overrun(course, "configure", allowed, players)
    players.expect(Configured)
    if saved is not None:
        _take_up(saved, weights, players, course)
        neighbours.resume(course.contention_s)
        neighbours.clock_runs()
    border = _next_border(trial, course.evaluations[-1].step if saved is not None else 0)
    watch.switch(
        Account.TRAINING
    )  # before there is leave to train: who has it may run before this process does again
    players.send(Continue(submission_s=watch.submission_s(), eval_step=border))
    due = (math.floor(watch.submission_s() / period) + 1) * period

    while True:
        until_asked = min(due, last) - watch.submission_s() if not trial.eval_steps else _patience(trial, course)
        asked = not players.ready_within(until_asked)
        if asked:
            players.send(AskForEvaluation())
            if not players.ready_within(allowed := _patience(trial, course)):
                return _overrun(course, "update", allowed, players)
        at = players.expect(EvalReady)
        players.send(Freeze())

        watch.switch(Account.EVALUATION)  # ---- and stands still from here: nothing of the player can run
        time_s = watch.submission_s()
        neighbours.clock_stands()
        course.contention_s = neighbours.taken_s
        _must_be_due(at, asked, border, course.evaluations)
        players.send(FetchWeights())
        _must_agree(weights.gather())
        value, extra_metrics = judge.validated()
        watch.switch(Account.LOGGING)
        if at.state_bytes is not None:
            course.state_bytes = at.state_bytes
        course.evaluations += (
            Evaluation(
                step=at.step,
                examples=at.examples,
                time_s=time_s,
                value=value,
                train_loss=at.train_loss,
                extra_metrics=extra_metrics,
            ),
        )
        course.outcome = _decide(trial, workload, course.evaluations, at.complete)
        if course.outcome is not None:
            return None
        due = (math.floor(time_s / period) + 1) * period
        border = _next_border(trial, at.step)
        save = trial.checkpoint is not None and wall_clock() - course.saved_at >= trial.checkpoint_every_s
        watch.switch(Account.PAUSED)
        players.send(Continue(submission_s=time_s, eval_step=border, value=value, save=save))
        neighbours.clock_runs()
        watch.switch(Account.TRAINING)  # ---- and runs again
        players.send(Thaw())
        if save:
            if not players.ready_within(allowed := _patience(trial, course)):
                return _overrun(course, "after_eval", allowed, players)
            players.expect(Saving)
            _save(trial, workload, weights, players, course, checkpoint_store)
            watch.switch(Account.TRAINING)
            players.send(Continue(submission_s=watch.submission_s(), eval_step=border))


def _save(
    trial: Trial,
    workload: Workload,
    weights: Weights,
    players: Players,
    course: TrialState,
    checkpoint_store: CheckpointStore,
) -> None:
    """Writes a checkpoint while the clock stands; what the player takes beyond mere copying is on the clock."""
    course.watch.switch(Account.CHECKPOINT)
    states = players.states(_LARGEST_BYTES + _LARGEST_WEIGHTS * weights.nbytes)
    course.watch.overdrawn(_COPY_GRACE_S + _copying_s(states or (), weights), Account.TRAINING)
    course.watch.switch(Account.CHECKPOINT)
    course.saved_at = wall_clock()
    if states is None or trial.checkpoint is None:
        return
    players.send(FetchWeights())
    checkpoint = Checkpoint(facts=course.facts(), weights=weights.held, players=states)
    with contextlib.suppress(OSError):  # a trial that cannot be saved can still be run
        checkpoints.save(trial.checkpoint, identity(trial, workload), checkpoint, checkpoint_store)


def _copying_s(states: Sequence[bytes], weights: Weights) -> float:
    """Seconds that copying players' states may take, as far as those are of an ordinary size beside the weights."""
    most = _ORDINARY_BYTES + _ORDINARY_WEIGHTS * weights.nbytes
    return sum(min(len(state), most) for state in states) / _COPY_BYTES_PER_S


def _take_up(saved: Checkpoint, weights: Weights, players: Players, course: TrialState) -> None:
    """Brings configured players, the weights and the ledger to where a checkpoint was made.

    What the player takes beyond setting itself up again and reading its state is on the clock.
    """
    players.send(Continue(submission_s=0.0, eval_step=None, resume=True))
    players.restore(saved.players)
    if not players.ready_within(LOAD_TIMEOUT_S):
        raise PlayerGone(Failure(hook="load_state_dict", kind="Timeout", message="its state could not be restored"))
    players.expect(Restored)
    facts = saved.facts
    setup_s = sum(seconds for account, seconds in facts["ledger"] if account == Account.SETUP)
    allowed_s = _RESTORE_GRACE_S + setup_s + _copying_s(saved.players, weights)
    course.watch.overdrawn(allowed_s, Account.TRAINING)
    for held, kept in zip(weights.held, saved.weights, strict=True):
        held.copy_(kept)
    players.send(SendWeights())
    course.evaluations = tuple(Evaluation(**each) for each in facts["evaluations"])
    course.state_bytes = facts["state_bytes"]
    course.started, course.clock_started = facts["started"], facts["clock_started"]
    course.resumed = facts["resumed"] + 1
    course.contention_s = facts["others_s"]
    course.wall_before_s = facts["wall_s"]
    course.watch.resume(facts["ledger"])


def _must_be_due(at: EvalReady, asked: bool, border: int | None, before: Sequence[Evaluation]) -> None:
    """Raises PlayerGone where the player came to a border of its own making, or back in time."""
    if not (asked or at.complete or at.step == border):
        message = f"the player asked for an evaluation at step {at.step}, before one was due"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))
    if before and (at.step < before[-1].step or at.examples < before[-1].examples):
        message = f"the player went from step {before[-1].step} back to step {at.step}"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))


def _must_agree(parameter: str | None) -> None:
    """Raises PlayerGone where ranks hold different values of a parameter at an evaluation."""
    if parameter is not None:
        message = (
            f"the ranks hold different values of {parameter}, expected the same on all: call the model as a whole, "
            "so that gradients are those of the whole batch, or bring the weights together in before_eval"
        )
        raise PlayerGone(Failure(hook="update", kind="RanksDiffer", message=message))


def _decide(trial: Trial, workload: Workload, evaluations: Sequence[Evaluation], complete: bool) -> Outcome | None:
    """How the trial ends after the last of these evaluations, or None where it goes on."""
    value, time_s, step = evaluations[-1].value, evaluations[-1].time_s, evaluations[-1].step
    if value is None:
        return Outcome.DIVERGED
    if trial.stop_at_target and workload.reaches(value):
        return Outcome.REACHED
    if complete or (trial.max_steps is not None and step >= trial.max_steps):
        return Outcome.COMPLETE
    if trial.eval_steps:
        return Outcome.COMPLETE if step >= trial.eval_steps[-1] else None
    if time_s >= trial.budget_s:
        return Outcome.BUDGET
    return trial.rule.stop_reason(time_s, evaluations)


def _next_border(trial: Trial, step: int) -> int | None:
    """The step at which the player stops by itself; None where only the clock decides."""
    ends = [border for border in trial.eval_steps if border > step]
    if trial.max_steps is not None:
        ends.append(trial.max_steps)
    if trial.evaluate_every is not None:
        ends.append((step // trial.evaluate_every + 1) * trial.evaluate_every)
    return min(ends, default=None)


def _patience(trial: Trial, course: TrialState) -> float:
    """Seconds that the player may still take until it says something."""
    if trial.eval_steps:
        return trial.limits.stall_s
    grace = max(trial.evaluation_period_s, 1.0)
    return min(trial.budget_s + grace - course.watch.submission_s(), trial.limits.stall_s)


def _overrun(course: TrialState, hook: str, allowed_s: float, players: Players) -> None:
    """Ends a trial whose submission did not come back from a hook in time: a miss."""
    message = f"{players.behind()}did not come back from {hook} within {allowed_s:.1f} s; the player was stopped"
    course.outcome = Outcome.BUDGET
    course.failure = Failure(hook=hook, kind="Overrun", message=message)

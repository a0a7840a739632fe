"""One trial, from order to record: the referee trains a submission on a workload and measures it.

Runs where neither ray nor mlflow is installed. The referee is this process; the player, which alone runs code of
the submission, is its child.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import checkpoints, machine, packages, sandbox, seeds, weights
from harness.checkpoints import Checkpoint, Keeper
from harness.clock import CLOCK_GRACE_S, CLOCK_TOLERANCE, Account, Stopwatch, wall_clock
from harness.messages import Border, Configured, Confined, Loaded, Restored, Saving
from harness.plan import Trial, results_hash
from harness.player import Part
from harness.player_process import LOAD_TIMEOUT_S, Disturbed, PlayerGone, PlayerProcess
from harness.records import Evaluation, Failure, Outcome, Record
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split, split_files
from workloads.metrics import evaluate

_DEVICE = torch.device("cpu")
_COPY_GRACE_S, _COPY_BYTES_PER_S, _RESTORE_GRACE_S = 0.05, 200e6, 0.5
"""What a player may take off the clock to copy its state, and to take it up again."""

_ORDINARY_BYTES, _ORDINARY_WEIGHTS = 4 * 2**20, 16
_LARGEST_BYTES, _LARGEST_WEIGHTS = 256 * 2**20, 256
"""A state of an ordinary size, and the largest that is kept: so many bytes, and so many times the weights'."""


@dataclass
class _Course:
    """What the referee has seen of a trial so far. What it needs to go on is plain values, for checkpoints."""

    watch: Stopwatch
    outcome: Outcome | None = None
    failure: Failure | None = None
    hp: Mapping[str, Any] | None = None
    reason: str | None = None
    batch_size: int = 0
    parameters: int = 0
    state_bytes: int | None = None
    guards: tuple[str, ...] = ()
    resumed: int = 0
    started: float = field(default_factory=time.time)
    wall_before_s: float = 0.0
    wall_from: float = field(default_factory=wall_clock)
    saved_at: float = field(default_factory=wall_clock)
    clock_started: float = 0.0
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def wall_s(self) -> float:
        """Seconds by the wall's clock that the trial has taken, those before it was interrupted included."""
        return self.wall_before_s + wall_clock() - self.wall_from

    def facts(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        return {
            "evaluations": [vars(evaluation) for evaluation in self.evaluations],
            "state_bytes": self.state_bytes,
            "resumed": self.resumed,
            "started": self.started,
            "clock_started": self.clock_started,
            "wall_s": self.wall_s,
            "ledger": self.watch.ledger(),
        }


def run_trial(trial: Trial, core: int | None = None, keeper: Keeper = checkpoints.FILES) -> Record:
    """Runs one trial on the core that this process is pinned to, or unpinned, and returns its record.

    It goes on from its checkpoint where `keeper` has one. Whatever the submission does wrong becomes the record's
    outcome. Raises what is wrong with us: DatasetError, PackagesError, ValueError for an unknown workload; and
    Disturbed where the measurement was spoilt from outside and has to be repeated.
    """
    course = _Course(Stopwatch(Account.START))
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    workload = registry.find(trial.suite, trial.workload)
    folder = workload.dataset.prepare(trial.data.absolute())
    further = packages.install(trial.submission, trial.data.absolute())
    validation = open_split(folder, "validation", workload.validation_examples)
    model = initial_model(workload, seeds.init_seed(trial.seed, workload.name, trial.study, trial.trial))
    course.parameters = sum(parameter.numel() for parameter in model.parameters())
    saved = checkpoints.load(trial.checkpoint, _identity(trial, workload), keeper) if trial.checkpoint else None
    with tempfile.TemporaryDirectory(prefix="pacer-trial-") as scratch:
        part = _part(trial, workload, folder, core, Path(scratch).resolve(), further)
        with PlayerProcess(part) as player:
            try:
                _referee(trial, workload, model, validation, player, course, saved, keeper)
            except PlayerGone as gone:
                course.outcome, course.failure = Outcome.ERROR, gone.failure
            course.watch.switch(Account.PAUSED)
        assert course.outcome is not None
        course.watch.switch(Account.EVALUATION)
        test_value = None
        if course.outcome is Outcome.REACHED:
            test = open_split(folder, "test", workload.test_examples)
            test_value = evaluate(workload, model, test, _DEVICE).value
        course.watch.switch(Account.LOGGING)
    return _record(trial, workload, course, test_value)


def initial_model(workload: Workload, seed: int) -> nn.Module:
    """The workload's model with the initial weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return workload.model().train()


def _part(
    trial: Trial, workload: Workload, folder: Path, core: int | None, scratch: Path, further: Path | None
) -> Part:
    named = (trial.seed, workload.name)
    draw = (trial.study, trial.trial)
    cell = sandbox.Cell(
        scratch=scratch, packages=further, hidden=(trial.data.absolute(), *trial.hidden), limits=trial.limits
    )
    return Part(
        workload=(trial.suite, workload.name),
        data=folder,
        submission=trial.submission,
        searches=trial.ruleset != "self",
        hp=trial.hp,
        point=trial.trial,
        points_seed=seeds.points_seed(*named, trial.submission.name, trial.study),
        seed=seeds.submission_seed(*named, trial.submission.name, *draw),
        data_seed=seeds.data_seed(*named, *draw),
        budget_s=trial.budget_s,
        core=core,
        cell=cell,
    )


def _referee(
    trial: Trial,
    workload: Workload,
    model: nn.Module,
    validation: Mapping[str, Any],
    player: PlayerProcess,
    course: _Course,
    saved: Checkpoint | None,
    keeper: Keeper,
) -> None:
    """Conducts the trial from the player's start to its outcome, which is left in `course`."""
    watch = course.watch
    period = trial.evaluation_period_s
    last = min(trial.budget_s, trial.rule.until_s)  # when an evaluation decides, whatever the period
    try:
        course.guards = player.expect(Confined).guards
    except PlayerGone as gone:
        if gone.failure.kind == "PlayerExit":  # no code of the submission has run yet
            raise Disturbed(f"no player could be started: {gone.failure.message}") from gone
        raise
    loaded = player.expect(Loaded)
    course.hp, course.batch_size = loaded.hp, loaded.batch_size
    course.clock_started = time.time()
    if loaded.declined is not None:
        course.outcome, course.reason = loaded.declined
        return None
    if trial.rule.until_s <= 0:
        course.outcome = trial.rule.hopeless(0.0, ())
        return None
    memory, held = weights.share(model)
    arrays = split_files(workload.dataset.folder(trial.data.absolute()), "train")

    # ---- the submission's clock runs from here, whenever the player can run; in a trial that goes on, once it is
    # back where it was
    watch.switch(Account.SETUP if saved is None else Account.CHECKPOINT)
    player.hand_over(memory, arrays)
    os.close(memory)
    if not player.ready_within(allowed := _patience(trial, course)):
        return _overrun(course, "configure", allowed)
    player.expect(Configured)
    if saved is None:
        border = _next_border(trial, 0)
        player.proceed(watch.submission_s(), border)
    else:
        _take_up(saved, held, player, course)
        border = _next_border(trial, course.evaluations[-1].step)
        player.proceed(watch.submission_s(), border)
    watch.switch(Account.TRAINING)
    due = (math.floor(watch.submission_s() / period) + 1) * period

    while True:
        until_asked = min(due, last) - watch.submission_s() if not trial.borders else _patience(trial, course)
        asked = not player.ready_within(until_asked)
        if asked:
            player.ask_for_evaluation()
            if not player.ready_within(allowed := _patience(trial, course)):
                return _overrun(course, "update", allowed)
        at = player.expect(Border)
        player.freeze()

        watch.switch(Account.EVALUATION)  # ---- and stands still from here: nothing of the player can run
        time_s = watch.submission_s()
        _must_be_due(at, asked, border, course.evaluations)
        value, beside = evaluate(workload, model, validation, _DEVICE)
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
                beside=beside,
            ),
        )
        course.outcome = _decide(trial, workload, course.evaluations, at.complete)
        if course.outcome is not None:
            return None
        due = (math.floor(time_s / period) + 1) * period
        border = _next_border(trial, at.step)
        save = trial.checkpoint is not None and wall_clock() - course.saved_at >= trial.checkpoint_every_s
        watch.switch(Account.PAUSED)
        player.proceed(time_s, border, value, save=save)
        watch.switch(Account.TRAINING)  # ---- and runs again
        player.thaw()
        if save:
            if not player.ready_within(allowed := _patience(trial, course)):
                return _overrun(course, "after_eval", allowed)
            player.expect(Saving)
            _save(trial, workload, held, player, course, keeper)
            player.proceed(watch.submission_s(), border)
            watch.switch(Account.TRAINING)


def _save(
    trial: Trial, workload: Workload, held: Tensor, player: PlayerProcess, course: _Course, keeper: Keeper
) -> None:
    """Writes a checkpoint while the clock stands; what the player takes beyond mere copying is on the clock."""
    course.watch.switch(Account.CHECKPOINT)
    state = player.state(_LARGEST_BYTES + _LARGEST_WEIGHTS * held.nbytes)
    course.watch.overdrawn(_COPY_GRACE_S + _copying_s(state or b"", held), Account.TRAINING)
    course.watch.switch(Account.CHECKPOINT)
    course.saved_at = wall_clock()
    if state is None or trial.checkpoint is None:
        return
    checkpoint = Checkpoint(facts=course.facts(), weights=held, player=state)
    with contextlib.suppress(OSError):  # a trial that cannot be saved can still be run
        checkpoints.save(trial.checkpoint, _identity(trial, workload), checkpoint, keeper)


def _copying_s(state: bytes, held: Tensor) -> float:
    """Seconds that copying a player's state may take, as far as that is of an ordinary size beside the weights."""
    return min(len(state), _ORDINARY_BYTES + _ORDINARY_WEIGHTS * held.nbytes) / _COPY_BYTES_PER_S


def _take_up(saved: Checkpoint, held: Tensor, player: PlayerProcess, course: _Course) -> None:
    """Brings a configured player, the weights and the ledger to where a checkpoint was made.

    What the player takes beyond setting itself up again and reading its state is on the clock.
    """
    player.proceed(0.0, None, resume=True)
    player.restore(saved.player)
    if not player.ready_within(LOAD_TIMEOUT_S):
        raise PlayerGone(Failure(hook="load_state_dict", kind="Timeout", message="its state could not be restored"))
    player.expect(Restored)
    facts = saved.facts
    setup_s = sum(seconds for account, seconds in facts["ledger"] if account == Account.SETUP)
    allowed_s = _RESTORE_GRACE_S + setup_s + _copying_s(saved.player, held)
    course.watch.overdrawn(allowed_s, Account.TRAINING)
    held.copy_(saved.weights)
    course.evaluations = tuple(Evaluation(**each) for each in facts["evaluations"])
    course.state_bytes = facts["state_bytes"]
    course.started, course.clock_started = facts["started"], facts["clock_started"]
    course.resumed = facts["resumed"] + 1
    course.wall_before_s = facts["wall_s"]
    course.watch.resume(facts["ledger"])


def _identity(trial: Trial, workload: Workload) -> str:
    """What must be the same for a trial to go on from a checkpoint."""
    key = trial.key(workload, machine.hardware().fingerprint)
    return json.dumps([*key, trial.budget_s, trial.evaluation_period_s, machine.versions(), _code(trial)])


def _code(trial: Trial) -> str:
    return trial.code or machine.code_version()


def _must_be_due(at: Border, asked: bool, border: int | None, before: Sequence[Evaluation]) -> None:
    """Raises PlayerGone where the player came to a border of its own making, or back in time."""
    if not (asked or at.complete or at.step == border):
        message = f"the player asked for an evaluation at step {at.step}, before one was due"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))
    if before and (at.step < before[-1].step or at.examples < before[-1].examples):
        message = f"the player went from step {before[-1].step} back to step {at.step}"
        raise PlayerGone(Failure(hook="update", kind="ProtocolError", message=message))


def _decide(trial: Trial, workload: Workload, evaluations: Sequence[Evaluation], complete: bool) -> Outcome | None:
    """How the trial ends after the last of these evaluations, or None where it goes on."""
    value, time_s, step = evaluations[-1].value, evaluations[-1].time_s, evaluations[-1].step
    if value is None:
        return Outcome.DIVERGED
    if trial.stop_at_target and workload.reaches(value):
        return Outcome.REACHED
    if complete or (trial.max_steps is not None and step >= trial.max_steps):
        return Outcome.COMPLETE
    if trial.borders:
        return Outcome.COMPLETE if step >= trial.borders[-1] else None
    if time_s >= trial.budget_s:
        return Outcome.BUDGET
    return trial.rule.hopeless(time_s, evaluations)


def _next_border(trial: Trial, step: int) -> int | None:
    """The step at which the player stops by itself; None where only the clock decides."""
    ends = [border for border in trial.borders if border > step]
    if trial.max_steps is not None:
        ends.append(trial.max_steps)
    if trial.evaluate_every is not None:
        ends.append((step // trial.evaluate_every + 1) * trial.evaluate_every)
    return min(ends, default=None)


def _patience(trial: Trial, course: _Course) -> float:
    """Seconds that the player may still take until it says something."""
    if trial.borders:
        return trial.limits.stall_s
    grace = max(trial.evaluation_period_s, 1.0)
    return min(trial.budget_s + grace - course.watch.submission_s(), trial.limits.stall_s)


def _overrun(course: _Course, hook: str, allowed_s: float) -> None:
    """Ends a trial whose submission did not come back from a hook in time: a miss."""
    message = f"did not come back from {hook} within {allowed_s:.1f} s; the player was stopped"
    course.outcome = Outcome.BUDGET
    course.failure = Failure(hook=hook, kind="Overrun", message=message)


def _record(trial: Trial, workload: Workload, course: _Course, test_value: float | None) -> Record:
    ledger, wall_s = course.watch.ledger(), course.wall_s
    booked = sum(seconds for _, seconds in ledger)
    if abs(booked - wall_s) > max(CLOCK_TOLERANCE * wall_s, CLOCK_GRACE_S):
        raise Disturbed(f"the ledger holds {booked:.3f} s of {wall_s:.3f} s: the machine slept or its clock jumped")
    hardware = machine.hardware()
    return Record(
        suite=trial.suite,
        workload=workload.name,
        submission=trial.submission.name,
        ruleset=trial.ruleset,
        seed=trial.seed,
        study=trial.study,
        trial=trial.trial,
        workload_hash=results_hash(workload),
        submission_hash=trial.submission.hash,
        outcome=course.outcome,
        evaluations=course.evaluations,
        metric=workload.metric.name,
        higher_is_better=workload.metric.higher_is_better,
        target=workload.target if trial.stop_at_target else None,
        test_value=test_value,
        hp=course.hp or {},
        step_hint=workload.step_hint,
        batch_size=course.batch_size,
        budget_s=trial.budget_s,
        evaluation_period_s=trial.evaluation_period_s,
        ledger=ledger,
        wall_s=wall_s,
        started=course.started,
        clock_started=course.clock_started,
        ended=time.time(),
        device=hardware.device,
        worker=f"{platform.node()}:{os.getpid()}",
        hardware=str(hardware),
        fingerprint=hardware.fingerprint,
        versions=machine.versions(),
        code=_code(trial),
        failure=course.failure,
        variant_of=workload.variant_of,
        reason=course.reason,
        parameters=course.parameters,
        state_bytes=course.state_bytes,
        guards=course.guards,
        resumed=course.resumed,
    )

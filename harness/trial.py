"""One trial, from order to record: the referee trains a submission on a workload and measures it.

Runs where neither ray nor mlflow is installed. The referee is this process; the player, which alone runs code of
the submission, is its child.
"""

from __future__ import annotations

import math
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness import machine, packages, seeds
from harness.clock import CLOCK_TOLERANCE, Account, Stopwatch, wall_clock
from harness.plan import Trial, results_hash
from harness.player import Part
from harness.player_process import PlayerGone, PlayerProcess
from harness.records import Evaluation, Failure, Outcome, Record
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import evaluate

_DEVICE = torch.device("cpu")


@dataclass
class _Course:
    """What the referee has seen of a trial so far."""

    outcome: Outcome | None = None
    failure: Failure | None = None
    hp: Mapping[str, Any] | None = None
    reason: str | None = None
    batch_size: int = 0
    parameters: int = 0
    state_bytes: int | None = None
    clock_started: float = 0.0
    evaluations: tuple[Evaluation, ...] = ()


def run_trial(trial: Trial, core: int | None = None) -> Record:
    """Runs one trial on the core that this process is pinned to, or unpinned, and returns its record.

    Whatever the submission does wrong becomes the record's outcome. Raises what is wrong with us: DatasetError,
    PackagesError, ValueError for an unknown workload.
    """
    started, wall_start, watch = time.time(), wall_clock(), Stopwatch(Account.START)
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    workload = registry.find(trial.suite, trial.workload)
    folder = workload.dataset.prepare(trial.data.absolute())
    further = packages.install(trial.submission, trial.data.absolute())
    validation = open_split(folder, "validation", workload.validation_examples)
    model = initial_model(workload, seeds.init_seed(trial.seed, workload.name, trial.study, trial.trial))
    course = _Course(parameters=sum(parameter.numel() for parameter in model.parameters()))
    with tempfile.TemporaryDirectory(prefix="pacer-trial-") as scratch:
        part = Part(trial=trial, data=folder, scratch=Path(scratch), core=core, packages=further)
        with PlayerProcess(part) as player:
            try:
                _referee(trial, workload, model, validation, player, watch, course)
            except PlayerGone as gone:
                course.outcome, course.failure = Outcome.ERROR, gone.failure
            watch.switch(Account.PAUSED)
        assert course.outcome is not None
        watch.switch(Account.EVALUATION)
        test_value = None
        if course.outcome is Outcome.REACHED:
            test = open_split(folder, "test", workload.test_examples)
            test_value = evaluate(workload, model, test, _DEVICE).value
        watch.switch(Account.LOGGING)
    return _record(trial, workload, course, test_value, watch, started, wall_clock() - wall_start)


def initial_model(workload: Workload, seed: int) -> nn.Module:
    """The workload's model with the initial weights of a seed, in memory that another process can share."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return workload.model().train().share_memory()


def _referee(
    trial: Trial,
    workload: Workload,
    model: nn.Module,
    validation: Mapping[str, Any],
    player: PlayerProcess,
    watch: Stopwatch,
    course: _Course,
) -> None:
    """Conducts the trial from the player's start to its outcome, which is left in `course`."""
    period, budget = trial.evaluation_period_s, trial.budget_s
    last = min(budget, trial.rule.until_s)  # when an evaluation decides, whatever the period
    grace = max(period, 1.0)
    loaded = player.expect("loaded")
    course.hp, course.batch_size = loaded["hp"], loaded["batch_size"]
    course.clock_started = time.time()
    if loaded["declined"] is not None:
        outcome, course.reason = loaded["declined"]
        course.outcome = Outcome(outcome)
        return None
    if trial.rule.until_s <= 0:
        course.outcome = trial.rule.hopeless(0.0, ())
        return None

    watch.switch(Account.SETUP)  # ---- the submission's clock runs from here, whenever the player can run
    player.hand_over(model)
    if not player.ready_within(budget + grace):
        return _overrun(course, "configure", budget)
    player.expect("configured")
    border = _next_border(trial, 0)
    player.proceed(watch.submission_s(), border)
    watch.switch(Account.TRAINING)
    due = period

    while True:
        asked = not player.ready_within(min(due, last) - watch.submission_s())
        if asked:
            player.ask_for_evaluation()
            if not player.ready_within(budget + grace - watch.submission_s()):
                return _overrun(course, "update", budget)
        at = player.expect("border")

        watch.switch(Account.PAUSED)  # ---- and stands still from here
        time_s = watch.submission_s()
        player.freeze()
        if not (asked or at["complete"] or at["step"] == border):
            raise PlayerGone(_early(at["step"]))
        watch.switch(Account.EVALUATION)
        value, beside = evaluate(workload, model, validation, _DEVICE)
        course.state_bytes = at.get("state_bytes", course.state_bytes)
        watch.switch(Account.LOGGING)
        course.evaluations += (
            Evaluation(
                step=at["step"],
                examples=at["examples"],
                time_s=time_s,
                value=value,
                train_loss=at["train_loss"],
                beside=beside,
            ),
        )
        course.outcome = _decide(trial, workload, course.evaluations, at)
        if course.outcome is not None:
            return None
        due = (math.floor(time_s / period) + 1) * period
        border = _next_border(trial, at["step"])
        player.proceed(time_s, border, value)
        watch.switch(Account.TRAINING)  # ---- and runs again
        player.thaw()


def _decide(
    trial: Trial, workload: Workload, evaluations: Sequence[Evaluation], at: Mapping[str, Any]
) -> Outcome | None:
    """How the trial ends after the last of these evaluations, or None where it goes on."""
    value, time_s = evaluations[-1].value, evaluations[-1].time_s
    if value is None:
        return Outcome.DIVERGED
    if trial.stop_at_target and workload.reaches(value):
        return Outcome.REACHED
    if at["complete"] or (trial.max_steps is not None and at["step"] >= trial.max_steps):
        return Outcome.COMPLETE
    if time_s >= trial.budget_s:
        return Outcome.BUDGET
    return trial.rule.hopeless(time_s, evaluations)


def _next_border(trial: Trial, step: int) -> int | None:
    """The step at which the player stops by itself; None where only the clock decides."""
    ends = [trial.max_steps] if trial.max_steps is not None else []
    if trial.evaluate_every is not None:
        ends.append((step // trial.evaluate_every + 1) * trial.evaluate_every)
    return min(ends, default=None)


def _overrun(course: _Course, hook: str, budget: float) -> None:
    """Ends a trial whose submission did not come back from a hook in time: a miss."""
    message = f"did not come back from {hook} within its budget of {budget:.1f} s; the player was stopped"
    course.outcome = Outcome.BUDGET
    course.failure = Failure(hook=hook, kind="Overrun", message=message)


def _early(step: int) -> Failure:
    message = f"the player asked for an evaluation at step {step}, before one was due"
    return Failure(hook="update", kind="ProtocolError", message=message)


def _record(
    trial: Trial,
    workload: Workload,
    course: _Course,
    test_value: float | None,
    watch: Stopwatch,
    started: float,
    wall_s: float,
) -> Record:
    ledger = watch.ledger()
    booked = sum(seconds for _, seconds in ledger)
    outcome, failure = course.outcome, course.failure
    if abs(booked - wall_s) > CLOCK_TOLERANCE * wall_s:
        outcome = Outcome.ERROR
        message = f"the ledger holds {booked:.3f} s of {wall_s:.3f} s: the machine slept or its clock jumped"
        failure = Failure(hook="clock", kind="ClockError", message=message)
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
        outcome=outcome,
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
        started=started,
        clock_started=course.clock_started,
        ended=time.time(),
        device=hardware.device,
        worker=f"{platform.node()}:{os.getpid()}",
        hardware=str(hardware),
        fingerprint=hardware.fingerprint,
        versions=machine.versions(),
        code=machine.code_version(),
        failure=failure,
        variant_of=workload.variant_of,
        reason=course.reason,
        parameters=course.parameters,
        state_bytes=course.state_bytes,
    )

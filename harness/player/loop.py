"""The hooks of a submission in the order in which they are called: it is loaded, configured, and trains.

What is called between two messages to the referee is on the submission's clock, once the training data is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from harness.player import buffer, devices, snapshot, weights
from harness.player.batches import EpochBatches
from harness.player.channel import RefereeChannel
from harness.player.commands import Continue, DataFiles, SaveState
from harness.player.load import load_submission
from harness.player.messages import Configured, EvalReady, Restored, Saved, Saving
from harness.player.state import StateError, size_of
from harness.player.task import Hook, SubmissionClock, Task
from harness.player.weights import Storage
from submissions.base import Submission, Training, TrainingComplete, Validation
from workloads.datasets.base import map_open_file


@dataclass(frozen=True, kw_only=True)
class _Session:
    """The task, the referee, the clock, and the hook that is running."""

    task: Task
    referee: RefereeChannel
    clock: SubmissionClock
    hook: Hook

    def wait(self) -> Continue:
        """Waits until the submission may train on; the referee then sets the clock."""
        go = self.referee.receive(Continue)
        self.clock.set(go.submission_s)
        return go

    def evaluation_due(self) -> bool:
        """Whether the referee asks for an evaluation; all ranks have the same answer after a step."""
        due, group = self.referee.evaluation_due, self.task.group
        return due if group is None else group.agree(due, self.clock.own_s())


def run_submission(task: Task, referee: RefereeChannel, hook: Hook) -> None:
    """Loads a submission and trains with it, without an end. Raises whatever a hook raises."""
    spec, workload, model = task.spec, task.workload, task.model
    submission, view, loaded = load_submission(task, hook)
    referee.send(loaded)
    if loaded.declined is not None:
        return

    names = referee.receive(DataFiles).names  # the clock runs from here on
    clock = SubmissionClock(task.group)
    memory, *files = referee.receive_files()
    weights.adopt(model, buffer.attach(weights.size_of(model), memory, task.device))
    arrays = {name: map_open_file(file)[: task.examples] for name, file in zip(names, files, strict=True)}
    batches = EpochBatches.of(workload, arrays, spec.data_seed, spec.rank, spec.ranks, task.device)
    training = Training(model, view, SimpleNamespace(**loaded.hp), workload.loss, clock)
    storages = weights.storages(model)
    hook.name = "configure"
    training.adopt(submission.configure(model, view, training.hp))
    referee.send(Configured())
    session = _Session(task=task, referee=referee, clock=clock, hook=hook)
    _train(session, submission, training, batches, storages)


def _train(
    session: _Session,
    submission: Submission,
    training: Training,
    batches: EpochBatches,
    storages: Mapping[str, Storage],
) -> None:
    hook, referee, group = session.hook, session.referee, session.task.group
    go = session.wait()
    if go.resume:
        hook.name = "load_state_dict"
        snapshot.restore(submission, training, batches, session.task.rng_stream, referee.receive_bytes())
        referee.send(Restored())
        go = session.wait()
    losses: list[Tensor | float] = []
    complete, first = False, True
    while True:
        try:
            hook.name = "select"
            if training.over:
                raise TrainingComplete
            batch = submission.select(training, batches)
            if group is not None:
                batch = batches.shared(batch, group.same)
            hook.name = "update"
            losses.append(submission.update(training, batch))
            training.step += 1
            if not session.evaluation_due() and training.step != go.eval_step:
                continue
        except TrainingComplete:
            complete = True
        hook.name = "before_eval"
        submission.before_eval(training)
        devices.settled(session.task.device)
        hook.name = "update"
        train_loss = _mean(losses)
        losses.clear()
        weights.check_storages(training.model, storages)
        state_bytes = None
        if first:
            hook.name = "state_dict"
            state_bytes = size_of(submission.state_dict(training))
            first = False
        referee.send(
            EvalReady(
                step=training.step,
                examples=batches.examples,
                train_loss=train_loss,
                complete=complete,
                state_bytes=state_bytes,
            )
        )
        go = session.wait()
        training.evaluations += (Validation(training.step, go.submission_s, go.value),)
        hook.name = "after_eval"
        submission.after_eval(training)
        if go.save:
            hook.name = "state_dict"
            _save(session, submission, training, batches)
            go = session.wait()


def _save(session: _Session, submission: Submission, training: Training, batches: EpochBatches) -> None:
    """Sends the referee all that another player needs to go on."""
    referee = session.referee
    referee.send(Saving())  # the clock stands from here, for as long as copying takes
    most = referee.receive(SaveState).most
    try:
        state = snapshot.saved(submission, training, batches, session.task.rng_stream)
        if len(state) > most:
            raise StateError(f"the state is of {len(state)} bytes, expected at most {most}")
    except StateError as error:
        referee.send(Saved(reason=str(error)))
    else:
        referee.send(Saved(reason=None))
        referee.send_bytes(state)


def _mean(losses: list[Tensor | float]) -> float | None:
    """Mean of the losses that `update` returned, None where there are none or it is not a finite number."""
    if not losses:
        return None
    tensors = [torch.as_tensor(loss, dtype=torch.float32) for loss in losses]
    for tensor in tensors:
        if tensor.numel() != 1:
            raise TypeError(
                f"update returned a tensor of shape {list(tensor.shape)}, expected one number, the loss"
            )
    mean = torch.stack([tensor.detach().reshape(()) for tensor in tensors]).double().mean().item()
    return mean if np.isfinite(mean) else None

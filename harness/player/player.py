"""The player: the process that runs a submission's code. It holds training data and nothing to judge itself by.

It talks to the referee in the short JSON messages of messages.py. Before any code of the submission runs, it locks
itself up, and forgets what trial it is in; the training data comes when the clock runs.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import signal
import site
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.player import buffer, devices, shared, snapshot, weights
from harness.player.batches import EpochBatches
from harness.player.messages import Continue
from harness.player.rank_group import DUE, RankGroup, Rendezvous, RngStream
from harness.player.state import StateError, size_of
from harness.protocol import seeds
from harness.system import machine, processes, sandbox
from scoring.records import Failure, Outcome
from submissions.base import Submission, Training, TrainingComplete, Validation, WorkloadView
from submissions.registry import SubmissionRef, load
from workloads import registry
from workloads.base import Arrays, Workload
from workloads.datasets.base import map_open_file, open_split
from workloads.metrics import to_device
from workloads.roles import parameter_roles

_Place = tuple[int, torch.Size, torch.dtype]
"""Where a tensor lies in memory, its shape and its dtype."""

_MOST_FILES = 64
_WARM_UPS = 2


@dataclass(frozen=True, kw_only=True)
class PlayerSpec:
    """What the player is told when it starts. The first two are for itself and not for the submission.

    `point` numbers the hyperparameter point of the sequence that `points_seed` starts; `hp` is there instead where
    the trial orders one. A trial over several devices has as many players, `ranks`, and this is number `rank`.
    The model is `compiled` before anything of the submission runs. Ranks on several machines meet at `host`, the
    first one's.
    """

    workload: tuple[str, str]
    data: Path
    submission: SubmissionRef
    searches: bool
    hp: Mapping[str, Any] | None
    point: int
    points_seed: int
    seed: int
    data_seed: int
    budget_s: float
    core: int | None
    sandbox_spec: sandbox.SandboxSpec
    rank: int = 0
    ranks: int = 1
    compiled: bool = False
    host: str | None = None


def play(connection: Connection, lifeline: Connection) -> None:
    """The player's whole life. `lifeline` closes when the referee dies, however it dies: no player trains on alone.

    First come the file to print to and the page that is shared with the referee, who asks for a border there; then
    a `PlayerSpec`, and for all ranks but the first the namespaces that they share with it, or where it is to be
    reached.
    """
    os.setsid()
    processes.adopt_orphans()
    output, memory = receive_files(connection)
    for stream in (1, 2):
        os.dup2(output, stream)
    page = shared.attach(memory)
    os.close(output)
    os.close(memory)
    # What is told here is not kept where a submission would find it: neither in a frame nor in an argument.
    stage = _Stage.enter(connection.recv(), connection, page)
    processes.end_with_parent()
    threading.Thread(target=_die_with_referee, args=(lifeline,), daemon=True).start()
    try:
        stage.perform()
    except BaseException as error:  # the trial's border: whatever a submission raises ends its own trial only
        stage.send("failed", failure=asdict(_failure(error, stage.hook, stage.filename)))


def receive_files(connection: Connection) -> list[int]:
    """Descriptors of the open files that the other side sent with `send_files`."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        return list(socket.recv_fds(channel, 1, _MOST_FILES)[1])


def send_files(connection: Connection, descriptors: list[int]) -> None:
    """Gives the other side these open files."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        socket.send_fds(channel, [b"f"], descriptors)


class _Stage:
    """A submission on a workload without a name, and which of its hooks is running."""

    @classmethod
    def enter(cls, part: PlayerSpec, connection: Connection, page: mmap.mmap) -> _Stage:
        """Locks this process up, meets the other ranks and warms the workload's own code up."""
        if part.core is not None:
            machine.pin(part.core)
        machine.keep_freed_memory()
        torch.set_num_threads(1)
        workload = registry.find(*part.workload)
        arrays = open_split(part.data, "train", workload.train_examples)
        examples = len(next(iter(arrays.values())))
        guards = sandbox.enter(
            part.sandbox_spec, receive_files(connection) if part.rank and part.host is None else ()
        )
        stage = cls(part, workload, examples, connection, page)
        if part.ranks > 1:
            stage.meet()
        stage.warm_up(arrays)
        stage.send("confined", guards=guards)
        return stage

    def __init__(
        self, part: PlayerSpec, workload: Workload, examples: int, connection: Connection, page: mmap.mmap
    ) -> None:
        self.hook, self.filename = "load", part.submission.filename
        self._part = replace(part, workload=("", ""), data=Path())
        dataset = replace(workload.dataset, name="dataset", packages=())
        self._workload = replace(workload, name="workload", variant_of=None, dataset=dataset)
        self._examples = examples
        self._connection = connection
        self._page = page
        self._group: RankGroup | None = None
        self._draws: RngStream | None = None
        self._clock_s, self._clock_from = 0.0, 0.0
        self._device = devices.of(part.sandbox_spec.gpu)
        self._model = workload.model().train().to(self._device)  # its tensors are the referee's, once they come

    def warm_up(self, arrays: Arrays) -> None:
        """Runs the workload's own forward and backward, compiled where that is asked, before the clock starts."""
        devices.set_products(self._workload.precision)
        devices.lower(self._model, self._workload.precision, self._device)
        if self._part.compiled:
            devices.compile_forward(self._model)
        if self._group is not None:
            self._draws = self._group.tie(self._model, self._part.seed)
        size = min(-(-self._workload.batch_size // self._part.ranks), self._examples)
        for number in range(_WARM_UPS):
            # Other rows are of other lengths, for which compiled code is made anew once.
            batch = self._workload.collate(arrays, (np.arange(size) + number * size) % self._examples)
            batch = to_device(batch, self._device)
            self._workload.loss(self._model(*batch.inputs), batch).mean().backward()
        self._model.zero_grad(set_to_none=True)
        devices.settled(self._device)

    def meet(self) -> None:
        """Waits for the other ranks; the loss is the whole batch's from then on."""
        rank, host, folder = self._part.rank, self._part.host, self._part.sandbox_spec.rendezvous
        if host is None:
            assert folder is not None
            rendezvous = Rendezvous.in_folder(folder, self._part.ranks)
            if rank == 0:
                self.send("housed", port=None)
        elif rank == 0:
            rendezvous = Rendezvous.opened(host)
            self.send("housed", port=rendezvous.port)
        else:
            rendezvous = Rendezvous.joined(*json.loads(self._connection.recv_bytes()))
        self._group = RankGroup(rank, self._part.ranks, rendezvous, self._page, self._device)
        self._workload = replace(self._workload, loss=self._group.over_all(self._workload.loss))

    def send(self, at: str, **facts: Any) -> None:
        self._connection.send_bytes(json.dumps({"at": at, **facts}, default=str).encode())

    def perform(self) -> None:
        part, workload = self._part, self._workload
        model = self._model
        view = _view(workload, model, self._examples, part, self._device)
        _seed_everything(part.seed)
        if part.sandbox_spec.packages is not None:
            site.addsitedir(str(part.sandbox_spec.packages))
        submission = load(part.submission, part.sandbox_spec.scratch, workload)
        try:
            hp = _point(part, submission)
        except seeds.NoPointLeft as none:
            self.send("loaded", hp={}, batch_size=0, declined=(Outcome.COMPLETE, str(none)))
            return
        self.hook = "unsuitable"
        reason = submission.unsuitable(view)
        self.hook = "batch_size"
        declined = None if reason is None else (Outcome.UNSUITABLE, reason)
        self.send("loaded", hp=hp, batch_size=submission.batch_size(view), declined=declined)
        if declined is not None:
            return

        names = json.loads(self._connection.recv_bytes())  # the clock runs from here on
        self._clock_from = time.perf_counter()
        memory, *files = receive_files(self._connection)
        weights.adopt(model, buffer.find(weights.size_of(model), memory, self._device))
        arrays = {name: map_open_file(file)[: self._examples] for name, file in zip(names, files, strict=True)}
        batches = EpochBatches.of(workload, arrays, part.data_seed, part.rank, part.ranks, self._device)
        training = Training(model, view, SimpleNamespace(**hp), workload.loss, self._submission_s)
        places = _places(model)
        self.hook = "configure"
        training.adopt(submission.configure(model, view, training.hp))
        self._train(submission, training, batches, places)

    def _train(
        self, submission: Submission, training: Training, batches: EpochBatches, places: Mapping[str, _Place]
    ) -> None:
        self.send("configured")
        leave = self._await_leave()
        if leave.resume:
            self.hook = "load_state_dict"
            snapshot.restore(submission, training, batches, self._draws, self._connection.recv_bytes())
            self.send("restored")
            leave = self._await_leave()
        losses: list[Tensor | float] = []
        complete, first = False, True
        while True:
            try:
                self.hook = "select"
                if training.over:
                    raise TrainingComplete
                batch = submission.select(training, batches)
                if self._group is not None:
                    batch = batches.shared(batch, self._group.same)
                self.hook = "update"
                losses.append(submission.update(training, batch))
                training.step += 1
                if not self._is_due() and training.step != leave.border:
                    continue
            except TrainingComplete:
                complete = True
            self.hook = "before_eval"
            submission.before_eval(training)
            devices.settled(self._device)
            self.hook = "update"
            loss = _mean(losses)
            losses.clear()
            _check_places(training.model, places)
            size = None
            if first:
                self.hook = "state_dict"
                size = size_of(submission.state_dict(training))
            facts = {"examples": batches.examples, "train_loss": loss, "complete": complete, "state_bytes": size}
            self.send("border", step=training.step, **facts)
            leave = self._await_leave()
            training.evaluations += (Validation(training.step, leave.submission_s, leave.value),)
            first = False
            self.hook = "after_eval"
            submission.after_eval(training)
            if leave.save:
                self.hook = "state_dict"
                self.send("saving")  # the clock stands from here, for as long as copying takes
                most = json.loads(self._connection.recv_bytes())["most"]
                self._send_state(submission, training, batches, most)
                leave = self._await_leave()

    def _is_due(self) -> bool:
        """Whether the referee asks for an evaluation; all ranks find the same after a step."""
        due = bool(self._page[DUE])
        return due if self._group is None else self._group.agree(due, self._own_clock_s())

    def _send_state(self, submission: Submission, training: Training, batches: EpochBatches, most: int) -> None:
        try:
            state = snapshot.saved(submission, training, batches, self._draws)
            if len(state) > most:
                raise StateError(f"the state is of {len(state)} bytes, expected at most {most}")
        except StateError as error:
            self.send("saved", reason=str(error))
        else:
            self.send("saved", reason=None)
            self._connection.send_bytes(state)

    def _await_leave(self) -> Continue:
        """Waits for leave to go on, which sets the clock."""
        leave = Continue(**json.loads(self._connection.recv_bytes()))
        self._clock_s, self._clock_from = leave.submission_s, time.perf_counter()
        if self._group is not None:
            self._group.clock_s = self._clock_s
        return leave

    def _submission_s(self) -> float:
        """The time that the submission is told: of several ranks, all are told that of the first after a step."""
        return self._own_clock_s() if self._group is None else self._group.clock_s

    def _own_clock_s(self) -> float:
        return self._clock_s + time.perf_counter() - self._clock_from


def _die_with_referee(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os.killpg(0, signal.SIGKILL)


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _point(part: PlayerSpec, submission: Submission) -> dict[str, Any]:
    """The trial's hyperparameters: as ordered, the defaults of the self-tuning ruleset, or a point of the space."""
    if part.hp is not None:
        return dict(part.hp)
    if not part.searches:
        return {**submission.defaults, **(part.submission.point or {})}
    return {**submission.defaults, **seeds.point(submission.space, part.points_seed, part.point)}


def _view(
    workload: Workload, model: nn.Module, examples: int, part: PlayerSpec, device: torch.device
) -> WorkloadView:
    return WorkloadView(
        loss_kind=workload.loss_kind,
        roles=parameter_roles(model, workload.heads),
        train_examples=examples,
        batch_size=workload.batch_size,
        step_hint=workload.step_hint,
        budget_s=part.budget_s,
        target=workload.target,
        higher_is_better=workload.metric.higher_is_better,
        device=device,
        seed=part.seed,
    )


def _places(model: nn.Module) -> dict[str, _Place]:
    """Where each parameter and buffer lies in memory, with its shape and dtype."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: (tensor.data_ptr(), tensor.shape, tensor.dtype) for name, tensor in tensors}


def _check_places(model: nn.Module, places: Mapping[str, _Place]) -> None:
    """Raises RuntimeError where the model's tensors are no longer those that the referee evaluates."""
    now = _places(model)
    if now == places:
        return
    changed = sorted(name for name in now.keys() | places.keys() if now.get(name) != places.get(name))
    raise RuntimeError(
        f"{len(changed)} tensors of the model were replaced, renamed or reshaped ({', '.join(changed[:3])} ...), "
        "so what is evaluated would not be what was trained; change them in place, as in p.data.copy_(new)"
    )


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


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as odd:  # its own code
        return f"an exception whose text raises {type(odd).__name__}"


def _failure(error: BaseException, hook: str, filename: str | None) -> Failure:
    frames = traceback.extract_tb(error.__traceback__)
    own: Callable[[traceback.FrameSummary], bool] = lambda frame: Path(frame.filename).name == filename  # noqa: E731
    frame = next((f for f in reversed(frames) if own(f)), None)
    line = frame.lineno if frame else getattr(error, "lineno", None)
    return Failure(
        hook=hook,
        kind=devices.OUT_OF_MEMORY if devices.ran_out_of_memory(error) else type(error).__name__,
        message=_text(error)[:2000],
        file=filename if line is not None else None,
        line=line,
        traceback="".join(traceback.format_exception(error))[-20000:],
    )

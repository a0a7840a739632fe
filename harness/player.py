"""The player: the process that runs a submission's code. It holds training data and nothing to judge itself by.

It talks to the referee in short JSON messages: "loaded", "configured", "border" (at each evaluation) and "failed".
The referee never unpickles what comes from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import site
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness import machine, seeds
from harness.batches import EpochBatches
from harness.plan import Trial
from harness.records import Failure, Outcome
from submissions.base import Submission, Training, TrainingComplete, Validation, WorkloadView
from submissions.registry import load
from workloads import registry
from workloads.base import Arrays, Workload
from workloads.datasets.base import open_split
from workloads.roles import parameter_roles

_Place = tuple[int, torch.Size, torch.dtype]
"""Where a tensor lies in memory, its shape and its dtype."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the player is told when it starts: the trial, its dataset's folder, a scratch folder, its core, and the
    folder of packages that the submission asks for beside ours."""

    trial: Trial
    data: Path
    scratch: Path
    core: int | None
    packages: Path | None


def play(part: Part, connection: Connection, lifeline: Connection, evaluation_due: Any) -> None:
    """The player's whole life.

    `evaluation_due` is a shared byte that the referee sets to ask for a border. `lifeline` closes when the referee
    dies, however it dies: no player trains on alone.
    """
    os.setsid()
    threading.Thread(target=_die_with_referee, args=(lifeline,), daemon=True).start()
    os.chdir(part.scratch)
    if part.core is not None:
        machine.pin(part.core)
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    stage = _Stage(part, connection, evaluation_due)
    try:
        stage.perform()
    except BaseException as error:  # the trial's border: whatever a submission raises ends its own trial only
        stage.send("failed", failure=asdict(_failure(error, stage.hook, part.trial.submission.filename)))


class _Stage:
    """A submission on the workload, and which of its hooks is running."""

    def __init__(self, part: Part, connection: Connection, evaluation_due: Any) -> None:
        self.hook = "load"
        self._part = part
        self._connection = connection
        self._due = evaluation_due
        self._clock_s, self._clock_from = 0.0, 0.0

    def send(self, at: str, **facts: Any) -> None:
        self._connection.send_bytes(json.dumps({"at": at, **facts}, default=str).encode())

    def perform(self) -> None:
        trial = self._part.trial
        workload = registry.find(trial.suite, trial.workload)
        arrays = open_split(self._part.data, "train", workload.train_examples)
        _warm_up(workload, arrays)
        seed = seeds.submission_seed(trial.seed, workload.name, trial.submission.name, trial.study, trial.trial)
        _seed_everything(seed)
        if self._part.packages is not None:
            site.addsitedir(str(self._part.packages))
        submission = load(trial.submission, self._part.scratch, workload)
        try:
            hp = _point(trial, submission)
        except seeds.NoPointLeft as none:
            self.send("loaded", hp={}, batch_size=0, declined=(Outcome.COMPLETE, str(none)))
            return
        view = _view(workload, arrays, trial.budget_s, seed)
        self.hook = "unsuitable"
        reason = submission.unsuitable(view)
        self.hook = "batch_size"
        declined = None if reason is None else (Outcome.UNSUITABLE, reason)
        self.send("loaded", hp=hp, batch_size=submission.batch_size(view), declined=declined)
        if declined is not None:
            return

        model: nn.Module = self._connection.recv()  # the clock runs from here on
        self._clock_from = time.perf_counter()
        order = seeds.data_seed(trial.seed, workload.name, trial.study, trial.trial)
        batches = EpochBatches.of(workload, arrays, order)
        training = Training(model, view, SimpleNamespace(**hp), workload.loss, self._submission_s)
        places = _places(model)
        self.hook = "configure"
        training.adopt(submission.configure(model, view, training.hp))
        self._train(submission, training, batches, places)

    def _train(
        self, submission: Submission, training: Training, batches: EpochBatches, places: Mapping[str, _Place]
    ) -> None:
        self.send("configured")
        border = self._await_referee(training)
        losses: list[Tensor | float] = []
        complete, first = False, True
        while True:
            try:
                self.hook = "select"
                if training.over:
                    raise TrainingComplete
                batch = submission.select(training, batches)
                self.hook = "update"
                losses.append(submission.update(training, batch))
                training.step += 1
                if not self._due.value and training.step != border:
                    continue
            except TrainingComplete:
                complete = True
            self.hook = "before_eval"
            submission.before_eval(training)
            self.hook = "update"
            loss = _mean(losses)
            losses.clear()
            _check_places(training.model, places)
            facts = {"examples": batches.examples, "train_loss": loss, "complete": complete}
            if first:
                self.hook = "state_dict"
                facts["state_bytes"] = _state_bytes(submission.state_dict(training))
            self.send("border", step=training.step, **facts)
            border = self._await_referee(training)
            first = False
            self.hook = "after_eval"
            submission.after_eval(training)

    def _await_referee(self, training: Training) -> int | None:
        """Waits for leave to go on; returns the step of the next border, None where only the clock decides."""
        leave = json.loads(self._connection.recv_bytes())
        if training.step:
            training.evaluations += (Validation(training.step, leave["submission_s"], leave["value"]),)
        self._clock_s, self._clock_from = leave["submission_s"], time.perf_counter()
        return leave["border"]

    def _submission_s(self) -> float:
        return self._clock_s + time.perf_counter() - self._clock_from


def _die_with_referee(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


def _warm_up(workload: Workload, arrays: Arrays) -> None:
    """Runs the workload's own forward and backward on a model that is thrown away, before the clock starts."""
    model = workload.model().train()
    for _ in range(2):
        batch = workload.collate(arrays, np.arange(min(workload.batch_size, len(next(iter(arrays.values()))))))
        workload.loss(model(*batch.inputs), batch).mean().backward()


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _point(trial: Trial, submission: Submission) -> dict[str, Any]:
    """The trial's hyperparameters: as ordered, the defaults of the self-tuning ruleset, or a point of the space."""
    if trial.hp is not None:
        return dict(trial.hp)
    if trial.ruleset == "self":
        return {**submission.defaults, **(trial.submission.point or {})}
    named = (trial.seed, trial.workload, trial.submission.name, trial.study, trial.trial)
    return {**submission.defaults, **seeds.point(submission.space, *named)}


def _view(workload: Workload, arrays: Arrays, budget_s: float, seed: int) -> WorkloadView:
    with torch.device("meta"):
        roles = parameter_roles(workload.model(), workload.heads)
    return WorkloadView(
        loss_kind=workload.loss_kind,
        roles=roles,
        train_examples=len(next(iter(arrays.values()))),
        batch_size=workload.batch_size,
        step_hint=workload.step_hint,
        budget_s=budget_s,
        target=workload.target,
        higher_is_better=workload.metric.higher_is_better,
        device=torch.device("cpu"),
        seed=seed,
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


def _state_bytes(state: Any) -> int:
    """Bytes of the tensors and arrays in a nested state, each counted once; objects are searched too."""
    sizes: dict[int, int] = {}
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if id(value) in sizes:
            continue
        sizes[id(value)] = 0
        if isinstance(value, Tensor):
            sizes[id(value)] = value.nbytes if value.layout is torch.strided else 0
        elif isinstance(value, np.ndarray):
            sizes[id(value)] = value.nbytes
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif not isinstance(value, type | FunctionType | ModuleType):
            waiting += getattr(value, "__dict__", {}).values()
    return sum(sizes.values())


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


def _failure(error: BaseException, hook: str, filename: str | None) -> Failure:
    frames = traceback.extract_tb(error.__traceback__)
    own: Callable[[traceback.FrameSummary], bool] = lambda frame: Path(frame.filename).name == filename  # noqa: E731
    frame = next((f for f in reversed(frames) if own(f)), None)
    line = frame.lineno if frame else getattr(error, "lineno", None)
    return Failure(
        hook=hook,
        kind=type(error).__name__,
        message=str(error)[:2000],
        file=filename if line is not None else None,
        line=line,
        traceback="".join(traceback.format_exception(error))[-20000:],
    )

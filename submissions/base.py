"""The interface of a submission. Only `name` and `configure` must be written; everything else has a default.

    class MyAdam(Submission):
        name = "my_adam"
        space = {"lr": LogUniform(1e-4, 1e-1)}
        defaults = {"lr": 1e-3}

        def configure(self, model, workload, hp):
            return torch.optim.Adam(model.parameters(), lr=hp.lr)

One instance serves one trial, in the trial's own process, so a submission may keep what it likes on `self`.

Where several devices share each batch, every one runs all of this, and losses and gradients are the whole batch's;
`submissions.ranks` is for what looks beyond that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.space import Space
from workloads.base import Batch, LossFunction, LossKind, Role

MEANING = 1  # raised when results change: see submissions/environment.py


class TrainingComplete(Exception):
    """Raised by a submission to end its trial early: it will not get better."""


@dataclass(frozen=True, kw_only=True)
class WorkloadView:
    """What a general training algorithm may know of the problem. The workload's name is not part of it.

    `roles` maps parameter names, as in `model.named_parameters()`, to what they are for. `step_hint` is the
    reference algorithm's horizon in steps of `batch_size`; `budget_s` the submission time allowed, in seconds;
    `target` the validation metric to reach, None while it is being set.
    """

    loss_kind: LossKind
    roles: Mapping[str, Role]
    train_examples: int
    batch_size: int
    step_hint: int
    budget_s: float
    target: float | None
    higher_is_better: bool
    device: torch.device
    seed: int


class Batches(Protocol):
    """The training examples. `next` walks through shuffled epochs, `take` gives any rows asked for."""

    def next(self, size: int) -> Batch: ...

    def take(self, index: np.ndarray) -> Batch: ...


class Average(Protocol):
    """Averaged weights that are judged in place of those that train, as `submissions.parts.averages` makes them."""

    def update(self) -> None: ...

    def swap_in(self) -> None: ...

    def swap_out(self) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Validation:
    """The validation metric after `step` updates, at submission time `time_s`; None where it was not finite."""

    step: int
    time_s: float
    value: float | None


Configured = (
    Optimizer | tuple[Optimizer, LRScheduler | None] | tuple[Optimizer, LRScheduler | None, Average | None] | None
)
"""What `configure` returns: an optimizer, then its schedule, then an average of its weights; or None."""


@dataclass
class Training:
    """A trial under way: what every hook is given. `step` counts finished updates; `hp` holds the hyperparameters
    as attributes; `evaluations` lists those so far. `optimizer`, `schedule` and `average` are what `configure`
    returned; the first has the type of the usual case, and is None where `configure` returned none.
    """

    model: nn.Module
    workload: WorkloadView
    hp: SimpleNamespace
    loss_function: LossFunction
    clock: Callable[[], float]
    optimizer: Optimizer = None  # pyright: ignore[reportAssignmentType]
    schedule: LRScheduler | None = None
    average: Average | None = None
    step: int = 0
    evaluations: tuple[Validation, ...] = ()

    def adopt(self, configured: Configured) -> None:
        """Takes up what `configure` returned."""
        made = configured if isinstance(configured, tuple) else (configured,)
        self.optimizer, self.schedule, self.average = (*made, None, None)[:3]  # pyright: ignore[reportAttributeAccessIssue]

    def loss(self, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of the model on a batch, a scalar with its graph."""
        return self.loss_function(self.model(*batch.inputs), batch, label_smoothing=label_smoothing).mean()

    def closure(self, batch: Batch, label_smoothing: float = 0.0) -> Callable[[], Tensor]:
        """What `Optimizer.step` may be given: computes the loss on a batch anew, with its gradients."""

        def evaluate() -> Tensor:
            self.model.zero_grad(set_to_none=True)
            with torch.enable_grad():
                loss = self.loss(batch, label_smoothing)
            loss.backward()
            return loss.detach()

        return evaluate

    def advance(self) -> None:
        """Moves the schedule and the average on, after a step of the optimizer."""
        if self.schedule is not None:
            self.schedule.step()
        if self.average is not None:
            self.average.update()

    @property
    def over(self) -> bool:
        """Whether the schedule says that it has `ended`, as those that decay to 0 do; the trial ends with it."""
        return getattr(self.schedule, "ended", False)

    @property
    def elapsed_s(self) -> float:
        """Submission time used so far, in seconds, as the player sees it. The referee's clock decides; at an
        evaluation this one is set by it, back too, where other programs had the core meanwhile."""
        return self.clock()


class Submission(ABC):
    """A training algorithm: how the model's parameters are moved, from which batches, with which settings.

    `space` is searched in the external ruleset. `defaults` are the author's own settings, the one point of the
    self-tuning ruleset until `make tune` finds another one.
    """

    name: ClassVar[str]
    space: ClassVar[Space] = {}
    defaults: ClassVar[Mapping[str, object]] = {}

    @abstractmethod
    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        """Prepares training, on the clock. Returns an optimizer, optionally with its schedule and an average."""

    def unsuitable(self, workload: WorkloadView) -> str | None:
        """Why the algorithm cannot run on such a workload by its nature, in one sentence; None where it can."""
        return None

    def batch_size(self, workload: WorkloadView) -> int:
        """Examples in the next batch; asked before each step."""
        return workload.batch_size

    def select(self, training: Training, batches: Batches) -> Batch:
        """Chooses the examples of the next step."""
        return batches.next(self.batch_size(training.workload))

    def update(self, training: Training, batch: Batch) -> Tensor:
        """Makes one step and returns its loss. The schedule and the average advance with the optimizer."""
        assert training.optimizer is not None, "a submission whose configure returns None overrides update"
        loss = training.closure(batch)()
        training.optimizer.step()
        training.advance()
        return loss

    def before_eval(self, training: Training) -> None:
        """Puts the weights to be judged into the model, on the clock."""
        if training.average is not None:
            training.average.swap_in()

    def after_eval(self, training: Training) -> None:
        """Puts the training weights back, on the clock."""
        if training.average is not None:
            training.average.swap_out()

    def state_dict(self, training: Training) -> dict[str, Any]:
        """Everything, beside the model's weights, that training needs to go on from here."""
        return {name: part.state_dict() for name, part in _parts(training).items()}

    def load_state_dict(self, training: Training, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave, after `configure`."""
        for name, part in _parts(training).items():
            part.load_state_dict(state[name])


def _parts(training: Training) -> dict[str, Any]:
    parts = {"optimizer": training.optimizer, "schedule": training.schedule, "average": training.average}
    return {name: part for name, part in parts.items() if part is not None}

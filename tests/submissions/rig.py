"""A submission under way without a harness: what tests of single hooks and formulas stand on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.player.batches import EpochBatches
from harness.trial.evaluator import initial_model
from submissions.base import Submission, Training, WorkloadView
from submissions.registry import load, resolve
from workloads.base import Batch, LossKind, LossTerms, Workload
from workloads.datasets.base import open_split
from workloads.roles import parameter_roles

VIEW = WorkloadView(
    loss_kind=LossKind.CROSS_ENTROPY,
    roles={},
    train_examples=1000,
    batch_size=8,
    step_hint=200,
    budget_s=100.0,
    target=0.1,
    higher_is_better=False,
    device=torch.device("cpu"),
    seed=0,
)


def view_of(workload: Workload, examples: int) -> WorkloadView:
    """What a submission is told of a workload."""
    with torch.device("meta"):
        roles = parameter_roles(workload.model(), workload.heads)
    return replace(
        VIEW,
        loss_kind=workload.loss_kind,
        roles=roles,
        train_examples=examples,
        batch_size=workload.batch_size,
        step_hint=workload.step_hint,
    )


def begin(
    name: str, workload: Workload, cache: Path, scratch: Path, quantile: float | None = None
) -> tuple[Submission, Training, EpochBatches]:
    """A submission configured on a workload, and its training data.

    Its point is the self-tuning one, or has every hyperparameter at a quantile of its domain.
    """
    ref = resolve(name)
    submission = load(ref, scratch, workload)
    point = ref.point or {}
    if quantile is not None:
        point = {key: domain.at(quantile) for key, domain in submission.space.items()}
    arrays = open_split(workload.dataset.prepare(cache), "train", workload.train_examples)
    view = view_of(workload, len(next(iter(arrays.values()))))
    hp = SimpleNamespace(**{**submission.defaults, **point})
    training = Training(initial_model(workload, 0), view, hp, workload.loss, lambda: 0.0)
    if submission.unsuitable(view) is None:
        training.adopt(submission.configure(training.model, view, hp))
    return submission, training, EpochBatches.of(workload, arrays, 0)


def advance(submission: Submission, training: Training, batches: EpochBatches, steps: int) -> list[float]:
    """Makes steps as the player does, and returns their losses."""
    losses = []
    for _ in range(steps):
        losses.append(float(submission.update(training, submission.select(training, batches))))
        training.step += 1
    return losses


class Bowl(nn.Module):
    """Parameters in float64 for a loss w' A w / 2 over all of them, with a given start."""

    def __init__(self, matrix: np.ndarray, start: Iterable[np.ndarray]) -> None:
        super().__init__()
        self.parts = nn.ParameterList(nn.Parameter(torch.from_numpy(np.array(part))) for part in start)
        self.register_buffer("matrix", torch.from_numpy(matrix))

    def forward(self) -> Tensor:
        weights = torch.cat([part.flatten() for part in self.parts])
        return 0.5 * weights @ self.matrix @ weights

    @property
    def weights(self) -> np.ndarray:
        """All parameters as one vector."""
        return torch.cat([part.detach().flatten() for part in self.parts]).numpy().copy()


def bowl(seed: int = 0, size: int = 6) -> tuple[np.ndarray, Bowl]:
    """A positive definite matrix and its bowl, with a matrix and a vector as parameters."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(size, size))
    matrix = factor @ factor.T / size + 0.1 * np.eye(size)
    start = random.normal(size=size)
    return matrix, Bowl(matrix, [start[:4].reshape(2, 2), start[4:]])


def training_of(model: nn.Module, **hp: Any) -> Training:
    """Training of a model whose output is its loss."""
    return Training(model, VIEW, SimpleNamespace(**hp), _its_output, lambda: 0.0)


def nothing() -> Batch:
    """A batch without inputs, for a model that takes none."""
    return Batch((), torch.zeros(1), torch.zeros(1, dtype=torch.int64))


def _its_output(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    return LossTerms(outputs[None], torch.ones(1, dtype=outputs.dtype))

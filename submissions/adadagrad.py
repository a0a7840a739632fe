"""AdAdaGrad: AdaGrad whose batch grows where the gradient is too noisy for its size.

Paper: Lau et al., AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods, 2024, arXiv:2402.11215.
Variant: The norm test every tenth step, with the variance between four parts of the batch in place of that
between examples; the batch begins at a quarter of the workload's and never shrinks, up to eight times it. Warm-up
and cosine decay, counted in examples.
Claim: More efficient than small constant batches, and better generalization than with large ones, on image
classification.
Against: adagrad
Needs: batch size per step
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adagrad

from submissions.base import Batches, Configured, Submission, Training, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import Choice, LogUniform
from workloads.base import Batch

_PARTS, _EVERY, _LARGEST = 4, 10, 8


class AdAdaGrad(Submission):
    name = "adadagrad"
    space = {
        "lr": LogUniform(5e-3, 0.5),
        "eta": LogUniform(0.05, 2.0),
        "start": Choice(0.25, 0.5, 1.0),
        "warmup": WARMUP,
    }
    defaults = {"lr": 1e-2, "eta": 0.5, "start": 0.25, "warmup": 0.1}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        self.size = max(_PARTS, round(hp.start * workload.batch_size))
        self.examples = 0
        self.parts: list[Batch] = []
        optimizer = Adagrad(model.parameters(), lr=hp.lr, foreach=True)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def select(self, training: Training, batches: Batches) -> Batch:
        testing = training.step % _EVERY == 0
        self.parts = [batches.next(self.size // _PARTS) for _ in range(_PARTS)] if testing else []
        return self.parts[0] if testing else batches.next(self.size)

    def update(self, training: Training, batch: Batch) -> Tensor:
        loss = self._test(training) if self.parts else training.closure(batch)()
        training.optimizer.step()
        self.examples += sum(map(len, self.parts)) if self.parts else len(batch)
        # The schedule counts examples, in batches of the workload's own size.
        while training.schedule.last_epoch < self.examples // training.workload.batch_size:  # pyright: ignore[reportOptionalMemberAccess]
            training.schedule.step()  # pyright: ignore[reportOptionalMemberAccess]
        return loss

    def _test(self, training: Training) -> Tensor:
        """Takes the gradient in parts, and enlarges the next batches where their variance says so."""
        parameters = list(training.model.parameters())
        losses, gradients = [], []
        for part in self.parts:
            losses.append(training.closure(part)())
            gradients.append(nn.utils.parameters_to_vector([p.grad for p in parameters]))  # pyright: ignore[reportArgumentType]
        stacked = torch.stack(gradients)
        mean = stacked.mean(dim=0)
        torch.nn.utils.vector_to_parameters(mean, [p.grad for p in parameters])  # pyright: ignore[reportArgumentType]
        # The variance between means of k examples is a k-th of that between examples.
        variance = float(stacked.var(dim=0).sum()) * len(self.parts[0])
        needed = variance / (training.hp.eta**2 * float(mean.square().sum()) + 1e-30)
        largest = min(_LARGEST * training.workload.batch_size, training.workload.train_examples)
        self.size = max(self.size, min(largest, math.ceil(needed)))
        return torch.stack(losses).mean()

    def state_dict(self, training: Training) -> dict[str, Any]:
        return super().state_dict(training) | {"size": self.size, "examples": self.examples}

    def load_state_dict(self, training: Training, state: dict[str, Any]) -> None:
        super().load_state_dict(training, state)
        self.size, self.examples = state["size"], state["examples"]

"""Zeroth-order SGD: the slope along a random direction, from two forward passes and no backward.

Paper: Malladi et al., Fine-Tuning Language Models with Just Forward Passes, 2023, arXiv:2305.17333; Zhang et al.,
Revisiting Zeroth-Order Optimization, 2024, arXiv:2402.11592.
Variant: Two-sided differences along one Gaussian direction a step; BatchNorm's statistics move with the first
pass only; cosine decay.
Claim: Tunes OPT of 13 billion parameters to within 1 % of backpropagation on 7 of 11 tasks, with a twelfth of the
memory; nothing is claimed for training from scratch.
Against: sgd
Expects: nothing
Needs: forward passes only
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.parts.batch_norm import frozen_statistics
from submissions.parts.schedules import warmup_cosine
from submissions.space import LogUniform
from workloads.base import Batch


class ZerothOrderSGD(Submission):
    name = "zo_sgd"
    space = {"lr": LogUniform(1e-6, 1e-2), "mu": LogUniform(1e-4, 1e-2)}
    defaults = {"lr": 1e-6, "mu": 1e-3}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        self.random = torch.Generator(device=workload.device).manual_seed(workload.seed)
        optimizer = SGD(model.parameters(), lr=hp.lr, foreach=True)
        return optimizer, warmup_cosine(optimizer, workload.step_hint)

    @torch.no_grad()
    def update(self, training: Training, batch: Batch) -> Tensor:
        parameters, mu = list(training.model.parameters()), training.hp.mu
        kept = [parameter.clone() for parameter in parameters]
        direction = [torch.empty_like(p).normal_(generator=self.random) for p in parameters]
        torch._foreach_add_(parameters, direction, alpha=mu)  # pyright: ignore[reportArgumentType, reportCallIssue]
        above = training.loss(batch)
        torch._foreach_add_(parameters, direction, alpha=-2 * mu)  # pyright: ignore[reportArgumentType, reportCallIssue]
        with frozen_statistics(training.model):
            below = training.loss(batch)
        torch._foreach_copy_(parameters, kept)  # pyright: ignore[reportArgumentType]
        slope = (above - below) / (2 * mu)
        for parameter, along in zip(parameters, direction, strict=True):
            parameter.grad = slope * along
        training.optimizer.step()
        training.advance()
        return above

    def state_dict(self, training: Training) -> dict[str, Any]:
        return super().state_dict(training) | {"random": self.random.get_state()}

    def load_state_dict(self, training: Training, state: dict[str, Any]) -> None:
        super().load_state_dict(training, state)
        self.random.set_state(state["random"])

"""A penalty on the gradient's norm, by the finite difference of two gradients.

Paper: Karakida et al., Understanding Gradient Regularization in Deep Learning: Efficient Finite-Difference
Computation and Implicit Bias, 2023, arXiv:2210.02720.
Variant: On the reference's rule: g + gamma (g(w + epsilon g) - g) / epsilon, which descends loss + gamma / 2
|g|^2. The paper's own gamma and epsilon could not be verified; the published ones here are those of
arXiv:2602.18037, which follows it.
Claim: Generalizes better than training without the penalty and than its exact derivative, at less cost than the
latter.
Against: nadamw
Expects: nothing
Needs: two gradients
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.sharpness import ascended
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import LogUniform
from workloads.base import Batch


class GradientRegularization(Submission):
    name = "gradient_regularization"
    space = ADAM_SPACE | {"epsilon": LogUniform(1e-3, 0.5), "gamma": LogUniform(1e-3, 0.5)}
    defaults = ADAM_DEFAULTS | {"epsilon": 1e-3, "gamma": 1e-2}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        self.parameters = list(model.parameters())
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def update(self, training: Training, batch: Batch) -> Tensor:
        closure, hp = training.closure(batch), training.hp
        loss = closure()
        here = [parameter.grad for parameter in self.parameters]
        with ascended(training.model, self.parameters, hp.epsilon):
            closure()
        for parameter, gradient in zip(self.parameters, here, strict=True):
            parameter.grad = torch.lerp(gradient, parameter.grad, hp.gamma / hp.epsilon)  # pyright: ignore[reportArgumentType, reportCallIssue]
        training.optimizer.step()
        training.advance()
        return loss

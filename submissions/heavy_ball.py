"""SGD with heavy-ball momentum.

Paper: Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964.
Variant: `torch.optim.SGD`, fused; warm-up and cosine decay.
Claim: Converges in about the square root of gradient descent's steps on badly conditioned quadratics.
Against: sgd
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import sgd
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE


class HeavyBall(Submission):
    name = "heavy_ball"
    space = MOMENTUM_SPACE
    defaults = MOMENTUM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = sgd(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""SGD with Nesterov momentum.

Paper: Sutskever et al., On the Importance of Initialization and Momentum in Deep Learning, 2013, ICML.
Variant: `torch.optim.SGD`, fused; warm-up and cosine decay.
Claim: Nesterov's form allows larger momentum than the heavy ball and trains deep autoencoders to lower error.
Against: heavy_ball
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import sgd
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE


class Nesterov(Submission):
    name = "nesterov"
    space = MOMENTUM_SPACE
    defaults = MOMENTUM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = sgd(model, hp, nesterov=True)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

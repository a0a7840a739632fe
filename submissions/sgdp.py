"""SGDP: SGD with momentum whose steps leave out the radial part where weights are scale-invariant.

Paper: Heo et al., AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights, 2020,
arXiv:2006.08217.
Variant: pytorch_optimizer, with Nesterov momentum; warm-up and cosine decay.
Claim: ImageNet top-1 accuracy rises from 71.61 to 72.18 % (MobileNetV2), 70.28 to 70.73 (ResNet-18) and 76.64 to
76.71 (ResNet-50) over SGD with momentum.
Against: nesterov
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE


class SGDP(Submission):
    name = "sgdp"
    space = MOMENTUM_SPACE
    defaults = MOMENTUM_DEFAULTS | {"weight_decay": 1e-5}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.SGDP(
            model.parameters(),
            lr=hp.lr,
            momentum=1 - hp.one_minus_momentum,
            weight_decay=hp.weight_decay,
            nesterov=True,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

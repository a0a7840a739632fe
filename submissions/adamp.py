"""AdamP: the radial part of a step is left out where weights are scale-invariant.

Paper: Heo et al., AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights, 2020,
arXiv:2006.08217.
Variant: pytorch_optimizer, with delta 0.1 and a decay ratio of 0.1; warm-up and cosine decay. It only differs
from AdamW where a weight's gradient is nearly orthogonal to it, as before a normalization.
Claim: ImageNet top-1 accuracy rises from 72.12 to 72.57 % (MobileNetV2), 70.41 to 70.81 (ResNet-18) and 76.65 to
76.94 (ResNet-50) over Adam with weight decay.
Against: adamw
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class AdamP(Submission):
    name = "adamp"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.AdamP(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

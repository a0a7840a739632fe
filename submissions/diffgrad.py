"""diffGrad: Adam's step times the sigmoid of how much the gradient changed.

Paper: Dubey et al., diffGrad: An Optimization Method for Convolutional Neural Networks, 2019, arXiv:1909.11015.
Variant: pytorch_optimizer, which has the corrected code; the paper's own always found a difference of 0
(`adam_half` is that control). Warm-up and cosine decay.
Claim: More accurate than Adam, SGD with momentum, AMSGrad and others with ResNets on CIFAR-10 and CIFAR-100.
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class DiffGrad(Submission):
    name = "diffgrad"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.DiffGrad(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""EXAdam: Adam whose bias corrections cross the two moments, with an accelerated gradient.

Paper: Adly, EXAdam: The Power of Adaptive Cross-Moments, 2024, arXiv:2412.20302.
Variant: pytorch_optimizer, as in the second version of the paper, without the growing step size of the first;
warm-up and cosine decay. At equal `lr` its steps are two to five times Adam's, so compare calibrated rates.
Claim: Converges 38 % faster than Adam and gains 1.2 points of test accuracy with a convolutional network on
CIFAR-10.
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class EXAdam(Submission):
    name = "exadam"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.EXAdam(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

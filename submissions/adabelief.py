"""AdaBelief: the denominator is the moving average of (gradient - its moving average)^2.

Paper: Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients, 2020,
arXiv:2010.07468.
Variant: pytorch_optimizer with the defaults of the authors' release 0.2.0: eps 1e-16, decoupled weight decay,
rectified; warm-up and cosine decay.
Claim: Trains as fast as Adam and generalizes as well as SGD: on CIFAR and with LSTMs the best of nine optimizers,
on ImageNet level with SGD.
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class AdaBelief(Submission):
    name = "adabelief"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.AdaBelief(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            eps=1e-16,
            rectify=True,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

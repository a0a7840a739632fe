"""Stable-SPAM: Adam with spikes clipped at past maxima, gradients scaled by their past norms, moments reset.

Paper: Huang et al., Stable-SPAM: How to Train in 4-Bit More Stably than 16-Bit Adam, 2025, arXiv:2502.17055.
Variant: pytorch_optimizer, with its corrections of the authors' code at a reset; the cosine factor on beta1 and
gamma1 runs over the horizon; warm-up and cosine decay of the rate.
Claim: Trains a 4-bit LLaMA of a billion parameters to 2 perplexity below Adam in 16 bit, and to Adam's own 4-bit
loss in half of the steps.
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE
from submissions.space import Choice


class StableSPAM(Submission):
    name = "stable_spam"
    space = ADAPTIVE_SPACE | {
        "gamma1": Choice(0.7, 0.85),
        "gamma2": Choice(0.9, 0.99, 0.999),
        "theta": Choice(0.99, 0.999),
        "reset_every": Choice(250, 500, 1000),
    }
    defaults = ADAPTIVE_DEFAULTS | {"gamma1": 0.7, "gamma2": 0.9, "theta": 0.999, "reset_every": 1000}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.StableSPAM(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            gamma1=hp.gamma1,
            gamma2=hp.gamma2,
            theta=hp.theta,
            t_max=workload.step_hint,
            update_proj_gap=hp.reset_every,
            weight_decay=0.0,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""Prodigy: D-Adaptation that weighs gradients so that its estimate of the distance grows faster.

Paper: Mishchenko and Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2023, arXiv:2306.06101.
Variant: The authors' prodigyopt 1.1.2, with its safeguard for warm-up; warm-up and cosine decay of its factor
`lr`.
Claim: Consistently better than D-Adaptation and close to hand-tuned Adam on 12 logistic regressions and 8 deep
networks.
Against: d_adapt_adam
"""

from __future__ import annotations

from types import SimpleNamespace

import prodigyopt
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import Choice, LogUniform


class Prodigy(Submission):
    name = "prodigy"
    space = {
        "lr": LogUniform(0.3, 3.0),
        "one_minus_beta1": LogUniform(0.02, 0.3),
        "beta2": Choice(0.95, 0.99, 0.999),
        "weight_decay": LogUniform(1e-4, 0.3),
        "d_coef": LogUniform(0.5, 4.0),
        "bias_correction": Choice(False, True),
        "warmup": WARMUP,
    }
    defaults = {
        "lr": 1.0,
        "one_minus_beta1": 0.1,
        "beta2": 0.999,
        "weight_decay": 0.01,
        "d_coef": 1.0,
        "bias_correction": False,
        "warmup": 0.05,
    }

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = prodigyopt.Prodigy(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            d_coef=hp.d_coef,
            use_bias_correction=hp.bias_correction,
            safeguard_warmup=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

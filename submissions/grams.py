"""Grams: the size of Adam's step in the direction of the present gradient's signs.

Paper: Cao et al., Grams: Gradient Descent with Adaptive Momentum Scaling, 2024, arXiv:2412.17107.
Variant: pytorch_optimizer, eps 1e-6 as the authors'; warm-up and cosine decay.
Claim: The loss falls faster than with Adam, Lion and their cautious variants when language models are trained and
tuned.
Against: adamw
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class Grams(Submission):
    name = "grams"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.Grams(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

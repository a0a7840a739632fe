"""D-Adaptation for Adam: estimates the distance to the solution, and with it the learning rate.

Paper: Defazio and Mishchenko, Learning-Rate-Free Learning by D-Adaptation, 2023, arXiv:2301.07733.
Variant: The authors' dadaptation 3.2, decoupled weight decay; warm-up and cosine decay of its factor `lr`.
Claim: Matches hand-tuned learning rates of Adam on more than a dozen problems, without a search.
Against: adam
Expects: level
"""

from __future__ import annotations

from types import SimpleNamespace

import dadaptation
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import Choice, LogUniform


class DAdaptAdam(Submission):
    name = "d_adapt_adam"
    space = {
        "lr": LogUniform(0.3, 3.0),
        "one_minus_beta1": LogUniform(0.02, 0.3),
        "beta2": Choice(0.95, 0.99, 0.999),
        "weight_decay": LogUniform(1e-4, 0.3),
        "warmup": WARMUP,
    }
    defaults = {"lr": 1.0, "one_minus_beta1": 0.1, "beta2": 0.999, "weight_decay": 0.01, "warmup": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = dadaptation.DAdaptAdam(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            decouple=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

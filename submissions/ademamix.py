"""AdEMAMix: AdamW with a second, much slower moving average of the gradient.

Paper: Pagliardini et al., The AdEMAMix Optimizer: Better, Faster, Older, 2024, arXiv:2409.03137.
Variant: pytorch_optimizer with decoupled weight decay; alpha and beta3 are warmed up over the whole horizon, as
in the paper; warm-up and cosine decay of the rate.
Claim: A language model of 1.3 billion parameters trained on 101 billion tokens matches AdamW's on 197 billion.
Against: adamw
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice, LogUniform


class AdEMAMix(Submission):
    name = "ademamix"
    space = ADAM_SPACE | {"alpha": LogUniform(1.0, 10.0), "beta3": Choice(0.99, 0.999, 0.9999)}
    defaults = ADAM_DEFAULTS | {"alpha": 8.0, "beta3": 0.9999}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.AdEMAMix(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2, hp.beta3),
            weight_decay=hp.weight_decay,
            weight_decouple=True,
            alpha=hp.alpha,
            t_alpha_beta3=workload.step_hint,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

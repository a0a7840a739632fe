"""AdamW: Adam with decoupled weight decay.

Paper: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, arXiv:1711.05101.
Variant: `torch.optim.AdamW`, fused; warm-up and cosine decay.
Claim: Generalizes better than Adam with an L2 penalty, by 15 % less test error on CIFAR-10 and ImageNet32.
Against: adam
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import AdamW

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class AdamWCosine(Submission):
    name = "adamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = AdamW(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            fused=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

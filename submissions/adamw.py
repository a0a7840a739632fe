"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), warm-up and cosine decay.

`torch.optim.AdamW` in its fused form, which takes one pass over memory.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import Submission, WorkloadView
from submissions.schedules import warmup_cosine
from submissions.spaces import ADAM_DEFAULTS, ADAM_SPACE


class AdamWCosine(Submission):
    name = "adamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(
        self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace
    ) -> tuple[Optimizer, LRScheduler]:
        optimizer = AdamW(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            fused=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

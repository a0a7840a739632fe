"""NAdamW: Adam with Nesterov momentum (Dozat, 2016) and decoupled weight decay (Loshchilov and Hutter, 2019).

The reference that sets the pace: `torch.optim.NAdam` with its momentum schedule, linear warm-up and cosine decay
over the step hint.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import NAdam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import Submission, WorkloadView
from submissions.schedules import warmup_cosine
from submissions.spaces import ADAM_DEFAULTS, ADAM_SPACE


class NAdamW(Submission):
    name = "nadamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(
        self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace
    ) -> tuple[Optimizer, LRScheduler]:
        optimizer = NAdam(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            decoupled_weight_decay=True,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""SGD with Nesterov momentum (Sutskever et al., 2013), warm-up and cosine decay, by `torch.optim.SGD`."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import Submission, WorkloadView
from submissions.schedules import warmup_cosine
from submissions.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE


class Nesterov(Submission):
    name = "nesterov"
    space = MOMENTUM_SPACE
    defaults = MOMENTUM_DEFAULTS

    def configure(
        self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace
    ) -> tuple[Optimizer, LRScheduler]:
        optimizer = SGD(
            model.parameters(),
            lr=hp.lr,
            momentum=1 - hp.one_minus_momentum,
            weight_decay=hp.weight_decay,
            nesterov=True,
            fused=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

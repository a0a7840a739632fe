"""Plain SGD without momentum, with warm-up and cosine decay: what a workload must tell apart from the reference.

The search is over the learning rate alone, as nothing else is left to set.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import Submission, WorkloadView
from submissions.schedules import warmup_cosine
from submissions.spaces import PLAIN_DEFAULTS, PLAIN_SPACE


class PlainSGD(Submission):
    name = "sgd"
    space = PLAIN_SPACE
    defaults = PLAIN_DEFAULTS

    def configure(
        self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace
    ) -> tuple[Optimizer, LRScheduler]:
        optimizer = SGD(model.parameters(), lr=hp.lr, fused=True)
        return optimizer, warmup_cosine(optimizer, workload.step_hint)

"""SGD with heavy-ball momentum (Polyak, 1964), warm-up and cosine decay."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import Submission, WorkloadView
from submissions.momentum import sgd
from submissions.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE


class HeavyBall(Submission):
    name = "heavy_ball"
    space = MOMENTUM_SPACE
    defaults = MOMENTUM_DEFAULTS

    def configure(
        self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace
    ) -> tuple[Optimizer, LRScheduler]:
        return sgd(model, workload, hp, nesterov=False)

"""SGD with momentum, warm-up and cosine decay: what the two kinds of momentum share."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from submissions.base import WorkloadView
from submissions.schedules import warmup_cosine


def sgd(
    model: nn.Module, workload: WorkloadView, hp: SimpleNamespace, *, nesterov: bool
) -> tuple[Optimizer, LRScheduler]:
    """`torch.optim.SGD` in its fused form at a point of MOMENTUM_SPACE, with its schedule."""
    optimizer = SGD(
        model.parameters(),
        lr=hp.lr,
        momentum=1 - hp.one_minus_momentum,
        weight_decay=hp.weight_decay,
        nesterov=nesterov,
        fused=True,
    )
    return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

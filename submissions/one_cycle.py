"""1cycle: one rise and fall of the learning rate, the momentum the other way round.

Paper: Smith, A disciplined approach to neural network hyper-parameters: Part 1, 2018, arXiv:1803.09820; Smith and
Topin, Super-Convergence, 2018, arXiv:1708.07120.
Variant: On the reference's rule: `torch.optim.lr_scheduler.OneCycleLR` in three straight phases, momentum 0.95 to
0.85 and back.
Claim: ResNet-56 on CIFAR-10 reaches 92.4 % in 10,000 steps, against 91.2 % in 80,000 with a rate that falls in
steps.
Against: nadamw
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import one_cycle
from submissions.parts.spaces import UNWARMED_DEFAULTS, UNWARMED_SPACE
from submissions.space import Choice


class OneCycle(Submission):
    name = "one_cycle"
    space = UNWARMED_SPACE | {"rise": Choice(0.2, 0.3, 0.45)}
    defaults = UNWARMED_DEFAULTS | {"rise": 0.45}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, one_cycle(optimizer, workload.step_hint, hp.rise)

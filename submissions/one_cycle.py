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
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice


class OneCycle(Submission):
    name = "one_cycle"
    space = {key: domain for key, domain in ADAM_SPACE.items() if key != "warmup"} | {
        "rise": Choice(0.2, 0.3, 0.45)
    }
    defaults = {key: value for key, value in ADAM_DEFAULTS.items() if key != "warmup"} | {"rise": 0.45}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, one_cycle(optimizer, workload.step_hint, hp.rise)

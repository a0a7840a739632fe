"""Cosine power annealing of the learning rate.

Paper: Hundt et al., sharpDARTS: Faster and More Accurate Differentiable Architecture Search, 2019,
arXiv:1903.09900.
Variant: On the reference's rule, after the same warm-up; power 10, the default of the authors' function.
Claim: One part of a recipe with 1.93 % error on CIFAR-10; there is no number for the schedule alone.
Against: nadamw
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import cosine_power
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import LogUniform


class CosinePower(Submission):
    name = "cosine_power"
    space = ADAM_SPACE | {"power": LogUniform(1.5, 100.0)}
    defaults = ADAM_DEFAULTS | {"power": 10.0}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, cosine_power(optimizer, workload.step_hint, hp.warmup, hp.power)

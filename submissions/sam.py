"""SAM: the gradient is taken where the loss is highest nearby, a step of length rho uphill.

Paper: Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2021,
arXiv:2010.01412.
Variant: On the reference's rule: one norm over all parameters; BatchNorm's statistics move with the first
gradient only.
Claim: Test error of WRN-28-10 falls from 18.8 to 16.5 % on CIFAR-100, and of ResNet-50 on ImageNet from 22.9 to
22.5 %, at twice the gradients.
Against: nadamw
Expects: nothing
Needs: two gradients
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.sharpness import sharpness_aware_update
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import LogUniform
from workloads.base import Batch


class SAM(Submission):
    name = "sam"
    space = ADAM_SPACE | {"rho": LogUniform(5e-3, 0.5)}
    defaults = ADAM_DEFAULTS | {"rho": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        self.perturbed = list(model.parameters())
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def update(self, training: Training, batch: Batch) -> Tensor:
        return sharpness_aware_update(training, batch, self.perturbed)

"""SAM-ON: SAM that moves the parameters of normalization layers only uphill.

Paper: Mueller et al., Normalization Layers Are All That Sharpness-Aware Minimization Needs, 2023,
arXiv:2306.04226.
Variant: As `sam`, but only scales and biases of normalization layers are moved, by a norm taken over them alone;
all parameters are then trained.
Claim: Moving about 0.1 % of the parameters generalizes better than moving all, with ResNets and ViTs on CIFAR.
Against: sam
Expects: nothing
Needs: two gradients, parameter roles
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
from workloads.base import Batch, Role

_NORMS = (Role.NORM_SCALE, Role.NORM_BIAS)


class SAMOnlyNorms(Submission):
    name = "sam_on"
    space = ADAM_SPACE | {"rho": LogUniform(2e-2, 2.0)}
    defaults = ADAM_DEFAULTS | {"rho": 0.5}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        named = dict(model.named_parameters())
        self.perturbed = [named[name] for name, role in workload.roles.items() if role in _NORMS]
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def unsuitable(self, workload: WorkloadView) -> str | None:
        if set(_NORMS) & set(workload.roles.values()):
            return None
        return "SAM-ON moves the parameters of normalization layers, and this model has none."

    def update(self, training: Training, batch: Batch) -> Tensor:
        return sharpness_aware_update(training, batch, self.perturbed)

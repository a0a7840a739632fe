"""A constant learning rate with a linear cooldown to 0 at the end.

Paper: Schaipp et al., The Surprising Agreement Between Convex Optimization Theory and Learning-Rate Scheduling
for Large Model Training, 2025, arXiv:2501.18965; Haegele et al., 2024, arXiv:2405.18392.
Variant: On the reference's rule, after the same warm-up; a straight line to 0 over the last fifth.
Claim: With a cooldown over 20 % of the steps matches a tuned cosine for a language model of 210 million
parameters, at about half of its largest rate.
Against: nadamw
Expects: level
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import constant_cooldown
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice


class ConstantCooldown(Submission):
    name = "constant_cooldown"
    space = ADAM_SPACE | {"cooldown": Choice(0.1, 0.2, 0.4)}
    defaults = ADAM_DEFAULTS | {"cooldown": 0.2}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, constant_cooldown(optimizer, workload.step_hint, hp.warmup, hp.cooldown)

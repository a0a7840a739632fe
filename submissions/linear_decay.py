"""Linear decay of the learning rate to 0, after the warm-up.

Paper: Defazio et al., When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement, 2023,
arXiv:2310.07831.
Variant: On the reference's rule, after the same warm-up; without the refinement.
Claim: Overall the best of the common schedules, cosine among them, over ten deep-learning problems and a series
of language models.
Against: nadamw
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import linear_decay
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class LinearDecay(Submission):
    name = "linear_decay"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, linear_decay(optimizer, workload.step_hint, hp.warmup)

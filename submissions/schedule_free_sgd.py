"""Schedule-Free SGD: averaging in place of a learning-rate schedule.

Paper: Defazio et al., The Road Less Scheduled, 2024, arXiv:2405.15682.
Variant: The authors' schedulefree 1.4.1. BatchNorm's statistics are taken anew for the average, from the last
eight batches and on the clock.
Claim: Matches or beats SGD with momentum and cosine or linear decay without knowing when training stops.
Against: nesterov
Expects: level
Needs: weights for evaluation
"""

from __future__ import annotations

from types import SimpleNamespace

import schedulefree
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.modes import ModeAverage
from submissions.parts.spaces import WARMUP
from submissions.space import LogUniform


class ScheduleFreeSGD(Submission):
    name = "schedule_free_sgd"
    space = {
        "lr": LogUniform(0.1, 20.0),
        "one_minus_momentum": LogUniform(0.02, 0.3),
        "weight_decay": LogUniform(1e-6, 1e-3),
        "warmup": WARMUP,
    }
    defaults = {"lr": 1.0, "one_minus_momentum": 0.1, "weight_decay": 1e-4, "warmup": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = schedulefree.SGDScheduleFree(
            model.parameters(),
            lr=hp.lr,
            momentum=1 - hp.one_minus_momentum,
            weight_decay=hp.weight_decay,
            warmup_steps=round(hp.warmup * workload.step_hint),
            foreach=True,
        )
        return optimizer, None, ModeAverage(model, optimizer)

"""Schedule-Free AdamW: averaging in place of a learning-rate schedule.

Paper: Defazio et al., The Road Less Scheduled, 2024, arXiv:2405.15682.
Variant: The authors' schedulefree 1.4.1. BatchNorm's statistics are taken anew for the average, from the last
eight batches and on the clock.
Claim: Matches or beats AdamW with cosine or linear decay without knowing when training stops; won AlgoPerf's
self-tuning track of 2024, 8 % faster than its baseline.
Against: adamw
Needs: weights for evaluation
"""

from __future__ import annotations

from types import SimpleNamespace

import schedulefree
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.modes import ModeAverage
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class ScheduleFreeAdamW(Submission):
    name = "schedule_free_adamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS | {"lr": 2.5e-3}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = schedulefree.AdamWScheduleFree(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            warmup_steps=round(hp.warmup * workload.step_hint),
            foreach=True,
        )
        return optimizer, None, ModeAverage(model, optimizer)

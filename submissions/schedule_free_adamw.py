"""Schedule-Free AdamW (Defazio et al., 2024): averaging instead of a learning-rate schedule.

The authors' `schedulefree` package. Its weights for evaluation (the average) are not its training weights (between
the average and the fast iterate): the two hooks around an evaluation swap them.
"""

from __future__ import annotations

from types import SimpleNamespace

import schedulefree
from torch import nn
from torch.optim import Optimizer

from submissions.base import Submission, Training, WorkloadView
from submissions.spaces import ADAM_DEFAULTS, ADAM_SPACE


class ScheduleFreeAdamW(Submission):
    name = "schedule_free_adamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS | {"lr": 5e-3}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Optimizer:
        optimizer = schedulefree.AdamWScheduleFree(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            warmup_steps=round(hp.warmup * workload.step_hint),
            foreach=True,
        )
        optimizer.train()
        return optimizer

    def before_eval(self, training: Training) -> None:
        training.optimizer.eval()

    def after_eval(self, training: Training) -> None:
        training.optimizer.train()

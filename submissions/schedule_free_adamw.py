"""Schedule-Free AdamW (Defazio et al., 2024): averaging instead of a learning-rate schedule.

The authors' `schedulefree` package. Its weights for evaluation (the average) are not its training weights (between
the average and the fast iterate): the two hooks around an evaluation swap them, and BatchNorm statistics are taken
anew for the average, from the last few batches and on the clock, as the package's authors advise.
"""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import schedulefree
from torch import nn
from torch.optim import Optimizer

from submissions.base import Batches, Submission, Training, WorkloadView
from submissions.batch_norm import reestimate
from submissions.spaces import ADAM_DEFAULTS, ADAM_SPACE
from workloads.base import Batch

_BATCHES_FOR_STATISTICS = 8


class ScheduleFreeAdamW(Submission):
    name = "schedule_free_adamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS | {"lr": 1.2e-2}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Optimizer:
        self.recent: deque[Batch] = deque(maxlen=_BATCHES_FOR_STATISTICS)
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

    def select(self, training: Training, batches: Batches) -> Batch:
        self.recent.append(super().select(training, batches))
        return self.recent[-1]

    def before_eval(self, training: Training) -> None:
        training.optimizer.eval()
        reestimate(training.model, self.recent)

    def after_eval(self, training: Training) -> None:
        training.optimizer.train()

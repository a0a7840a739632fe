"""LAWA: the mean of the latest checkpoints, for evaluation.

Paper: Kaddour, Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging,
2022, arXiv:2209.14981; Ajroldi et al., 2025, arXiv:2502.06761.
Variant: On the reference: ten checkpoints, one every 0.2 % of the horizon, as AlgoPerf's LAWA submission;
BatchNorm's statistics are averaged as well.
Claim: Saves up to 68 GPU hours for ResNet-50 on ImageNet, and 550 in place of 612 GPU hours to AlgoPerf's
targets.
Against: nadamw
Needs: weights for evaluation
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.averages import Latest, WeightAverage
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice, LogUniform


class LAWA(Submission):
    name = "lawa"
    space = ADAM_SPACE | {"every": LogUniform(2e-3, 2e-2), "checkpoints": Choice(5, 10, 20)}
    defaults = ADAM_DEFAULTS | {"every": 2e-3, "checkpoints": 10}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        schedule = warmup_cosine(optimizer, workload.step_hint, hp.warmup)
        every = max(1, round(hp.every * workload.step_hint))
        return optimizer, schedule, WeightAverage(model, Latest(every, hp.checkpoints))

"""An exponential moving average of the weights, for evaluation.

Paper: Ajroldi et al., When, Where and Why to Average Weights?, 2025, arXiv:2502.06761; Morales-Brotons et al.,
2024, arXiv:2411.18704.
Variant: On the reference: an average after every step over a window of 1 % of the horizon (a decay of 1 - 1 /
window), a plain mean until that many steps; BatchNorm's statistics are averaged as well.
Claim: NAdamW with an average needs 82 % of the steps to AlgoPerf's targets and 541 in place of 612 GPU hours,
with hardly better final scores.
Against: nadamw
Needs: weights for evaluation
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.averages import Running, WeightAverage, exponential
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import LogUniform


class EMAWeights(Submission):
    name = "ema"
    space = ADAM_SPACE | {"window": LogUniform(2e-3, 0.1)}
    defaults = ADAM_DEFAULTS | {"window": 0.01}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        schedule = warmup_cosine(optimizer, workload.step_hint, hp.warmup)
        average = WeightAverage(model, Running(exponential(1 - 1 / max(1, hp.window * workload.step_hint))))
        return optimizer, schedule, average

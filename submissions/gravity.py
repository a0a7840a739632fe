"""Gravity: gradients pass through g / (1 + (g / m)^2) with m = 1 / max |g|, then into a running average.

Paper: Bahrami and Pouriyan Zadeh, Gravity Optimizer: a Kinematic Approach on Optimization in Deep Learning, 2021,
arXiv:2101.09192.
Variant: pytorch_optimizer. Its velocity begins at random with a spread of alpha / lr at the first step, so the
rate does not warm up; cosine decay.
Claim: More stable than Adam and RMSProp, and more accurate on data with many classes (two VGG networks on five
data sets).
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.space import Choice, LogUniform


class Gravity(Submission):
    name = "gravity"
    space = {"lr": LogUniform(1e-2, 10.0), "alpha": LogUniform(1e-3, 1e-1), "beta": Choice(0.8, 0.9, 0.95)}
    defaults = {"lr": 0.1, "alpha": 0.01, "beta": 0.9}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.Gravity(
            model.parameters(),
            lr=hp.lr,
            alpha=hp.alpha,
            beta=hp.beta,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, warmup=0.0)

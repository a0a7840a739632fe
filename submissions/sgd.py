"""Plain SGD without momentum: what a workload must tell apart from the reference.

Paper: Robbins and Monro, A Stochastic Approximation Method, 1951.
Variant: `torch.optim.SGD`, fused; warm-up and cosine decay. Nothing but the rate is left to search.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import SGD

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.space import LogUniform


class PlainSGD(Submission):
    name = "sgd"
    space = {"lr": LogUniform(0.03, 10.0)}
    defaults = {"lr": 0.1}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = SGD(model.parameters(), lr=hp.lr, fused=True)
        return optimizer, warmup_cosine(optimizer, workload.step_hint)

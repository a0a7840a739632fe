"""AliG: the Polyak step size for a least loss of 0, with a largest rate and momentum.

Paper: Berrada et al., Training Neural Networks for and by Interpolation, 2020, arXiv:1906.05661.
Variant: pytorch_optimizer, with Nesterov momentum and without projection; constant largest rate.
Claim: Comparable to SGD with a hand-tuned schedule, and best among adaptive methods, on SVHN, CIFAR and SNLI,
with one constant.
Against: nesterov
Expects: level
Needs: the value of the loss
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
import torch
from torch import Tensor, nn

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.space import LogUniform
from workloads.base import Batch


class AliG(Submission):
    name = "alig"
    space = {"max_lr": LogUniform(1e-2, 10.0), "one_minus_momentum": LogUniform(0.02, 0.5)}
    defaults = {"max_lr": 0.1, "one_minus_momentum": 0.1}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        return pytorch_optimizer.AliG(
            model.parameters(), max_lr=hp.max_lr, momentum=1 - hp.one_minus_momentum, foreach=True
        )

    def update(self, training: Training, batch: Batch) -> Tensor:
        closure = training.closure(batch)
        return torch.tensor(training.optimizer.step(lambda: float(closure())))

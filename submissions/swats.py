"""SWATS: begins as Adam and switches once to SGD, at a rate learned from the steps that Adam took.

Paper: Keskar and Socher, Improving Generalization Performance by Switching from Adam to SGD, 2017,
arXiv:1712.07628.
Variant: pytorch_optimizer, which tests each tensor and switches all at once. The rate is constant: a schedule
would overwrite the one that SWATS finds for SGD. `eps` is the tolerance of the test.
Claim: Closes the gap in generalization between Adam and SGD on CIFAR, Tiny-ImageNet and word-level language
models.
Against: adam
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.space import Choice, LogUniform


class SWATS(Submission):
    name = "swats"
    space = {
        "lr": LogUniform(5e-4, 5e-2),
        "one_minus_beta1": LogUniform(0.02, 0.3),
        "beta2": Choice(0.95, 0.99, 0.999),
        "eps": LogUniform(1e-9, 1e-3),
    }
    defaults = {"lr": 1e-3, "one_minus_beta1": 0.1, "beta2": 0.999, "eps": 1e-9}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        return pytorch_optimizer.SWATS(
            model.parameters(), lr=hp.lr, betas=(1 - hp.one_minus_beta1, hp.beta2), eps=hp.eps, foreach=True
        )

"""AdaGrad: each coordinate's rate falls with the root of its summed squared gradients.

Paper: Duchi et al., Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011, JMLR 12.
Variant: `torch.optim.Adagrad`; warm-up and cosine decay.
Claim: Better than non-adaptive subgradient methods where features are rare and informative.
Against: sgd
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Adagrad

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import LogUniform


class AdaGradCosine(Submission):
    name = "adagrad"
    space = {"lr": LogUniform(5e-3, 0.5), "warmup": WARMUP}
    defaults = {"lr": 1e-2, "warmup": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = Adagrad(
            model.parameters(),
            lr=hp.lr,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""Adam: bias-corrected first and second moments of the gradient.

Paper: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980.
Variant: `torch.optim.Adam`, fused, without weight decay; warm-up and cosine decay.
Claim: As fast as or faster than SGD with Nesterov momentum, AdaGrad and RMSProp on MNIST, IMDB and CIFAR-10, with
little tuning; no headline number.
Against: nesterov
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Adam

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class AdamCosine(Submission):
    name = "adam"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = Adam(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            fused=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""AdaMax: Adam with the infinity norm in place of the second moment.

Paper: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, section 7.1, arXiv:1412.6980.
Variant: `torch.optim.Adamax`; warm-up and cosine decay.
Claim: A simpler bound on the step than Adam's, which needs no bias correction in its denominator; the paper
reports no experiment with it.
Against: adam
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Adamax

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class AdaMax(Submission):
    name = "adamax"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS | {"lr": 2e-3}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = Adamax(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

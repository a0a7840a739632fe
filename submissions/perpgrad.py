"""perpGrad: Adam on gradients without their part along the weights.

Paper: Prieto et al., Grokking at the Edge of Numerical Stability, 2025, arXiv:2501.04697.
Variant: OrthoGrad of pytorch_optimizer around `torch.optim.Adam`: every tensor, and the projected gradient gets
its old norm back, as in the authors' code. Warm-up and cosine decay.
Claim: Generalizes early on grokking tasks (modular arithmetic, sparse parity) without weight decay, where Adam
overfits for long.
Against: adam
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from torch import nn
from torch.optim import Adam

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class PerpGrad(Submission):
    name = "perpgrad"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.OrthoGrad(
            Adam(
                model.parameters(),
                lr=hp.lr,
                betas=(1 - hp.one_minus_beta1, hp.beta2),
                fused=True,
            )
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

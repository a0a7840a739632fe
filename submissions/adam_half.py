"""Adam at half its learning rate: the control of diffGrad, whose factor starts from one half.

Paper: Dubey et al., diffGrad, 2019, arXiv:1909.11015, as its published code ran.
Variant: `torch.optim.Adam` at half of `lr`. The code behind both versions of the paper lost the gradient's
change, so that its factor stayed at one half: this is what was measured there.
Claim: None of its own: where diffGrad gains no more than this row, its gain is that of a smaller rate.
Against: adam
Expects: nothing
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Adam

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAPTIVE_DEFAULTS, ADAPTIVE_SPACE


class AdamHalf(Submission):
    name = "adam_half"
    space = ADAPTIVE_SPACE
    defaults = ADAPTIVE_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = Adam(
            model.parameters(),
            lr=0.5 * hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            fused=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

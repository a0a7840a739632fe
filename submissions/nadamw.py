"""NAdamW: Adam with Nesterov momentum and decoupled weight decay.

Paper: Dozat, Incorporating Nesterov Momentum into Adam, 2016, ICLR workshop; Loshchilov and Hutter, 2019,
arXiv:1711.05101.
Variant: `torch.optim.NAdam` with its momentum schedule and decoupled weight decay; warm-up and cosine decay. The
reference that sets the pace.
Claim: Nesterov's look-ahead makes Adam converge faster, on an autoencoder of MNIST and on language models.
Against: adamw
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE


class NAdamW(Submission):
    name = "nadamw"
    space = ADAM_SPACE
    defaults = ADAM_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

"""No warm-up: the cosine begins at the full learning rate.

Paper: Xiong et al., On Layer Normalization in the Transformer Architecture, 2020, arXiv:2002.04745.
Variant: The reference with its cosine alone: an ablation of the warm-up.
Claim: Transformers with normalization before each layer need no warm-up; BERT trains 40 % faster than one with
normalization behind, which does.
Against: nadamw
Expects: level
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import UNWARMED_DEFAULTS, UNWARMED_SPACE


class NoWarmup(Submission):
    name = "no_warmup"
    space = UNWARMED_SPACE
    defaults = UNWARMED_DEFAULTS

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, warmup=0.0)

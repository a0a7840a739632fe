"""Adafactor: second moments of matrices kept as rows and columns, steps relative to the size of the weights.

Paper: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, arXiv:1804.04235.
Variant: `torch.optim.Adafactor`, without momentum; its rate is the least of `lr` and 1 / sqrt(t), times the size
of the weights; warm-up and cosine decay of `lr`.
Claim: Comparable to Adam for the Transformer on WMT 2014 English-German, with memory for rows and columns in
place of matrices.
Against: adam
Expects: level
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import Adafactor

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import Choice, LogUniform


class AdafactorCosine(Submission):
    name = "adafactor"
    space = {
        "lr": LogUniform(1e-3, 0.3),
        "beta2_decay": Choice(-1.0, -0.8, -0.5),
        "clip": LogUniform(1.0, 4.0),
        "warmup": WARMUP,
    }
    defaults = {"lr": 1e-2, "beta2_decay": -0.8, "clip": 1.0, "warmup": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = Adafactor(
            model.parameters(),
            lr=hp.lr,
            beta2_decay=hp.beta2_decay,
            d=hp.clip,
            foreach=True,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

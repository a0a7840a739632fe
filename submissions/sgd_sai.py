"""SGD-SaI: SGD with momentum; each tensor's rate is set once, by the signal-to-noise ratio of its first gradient.

Paper: Xu et al., No More Adam: Learning Rate Scaling at Initialization is All You Need, 2024, arXiv:2412.11768.
Variant: pytorch_optimizer, whose raw norm for vectors is replaced by the same ratio |g| / std(g) as for matrices,
as in the authors' releases; where the first gradient is 0 it is sqrt(size), what the ratio is for any mean near
0. Warm-up and cosine decay.
Claim: Matches or beats AdamW for ViT on ImageNet and for GPT-2, with half of its memory.
Against: adamw
Expects: level
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytorch_optimizer
from torch import nn
from torch.optim import Optimizer

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import LogUniform


class SGDSaI(Submission):
    name = "sgd_sai"
    space = {
        "lr": LogUniform(1e-4, 0.3),
        "one_minus_momentum": LogUniform(0.02, 0.3),
        "weight_decay": LogUniform(1e-4, 0.3),
        "warmup": WARMUP,
    }
    defaults = {"lr": 1e-2, "one_minus_momentum": 0.1, "weight_decay": 0.01, "warmup": 0.05}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.SGDSaI(
            model.parameters(),
            lr=hp.lr,
            momentum=1 - hp.one_minus_momentum,
            weight_decay=hp.weight_decay,
            foreach=True,
        )
        optimizer.register_step_pre_hook(_scale_once)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)


def _scale_once(optimizer: Optimizer, *_: Any) -> None:
    """Sets the scale of each tensor that has none yet from its gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state, gradient = optimizer.state[parameter], parameter.grad
            if "gsnr" not in state and gradient is not None:
                norm, spread = gradient.norm(), gradient.std(correction=0)
                state["gsnr"] = norm / spread if spread > 0 else norm.new_tensor(gradient.numel() ** 0.5)

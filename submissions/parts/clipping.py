"""Clipping as a part that goes with any optimizer: gradients are clipped just before each of its steps.

The optimizer must not be given a closure, which would compute the gradients after they were clipped.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import torch
from torch.optim import Optimizer

MEANING = 1  # raised when results change: see submissions/environment.py


def clip_coordinates(optimizer: Optimizer, share: float) -> Optimizer:
    """Cuts the largest coordinates of the whole gradient, a `share` of all, down to the size of the least of them.

    That is clamp(g, -tau, tau) with tau the size of coordinate number share x d, in falling order of all d (Pan and
    Li, 2023, arXiv:2306.00204).
    """

    def clip(*_: object) -> None:
        gradients = [p.grad for p in _parameters(optimizer) if p.grad is not None]
        sizes = torch.cat([gradient.abs().flatten() for gradient in gradients])
        tau = sizes.kthvalue(max(1, round((1.0 - share) * len(sizes)))).values
        torch._foreach_clamp_max_(gradients, tau)  # pyright: ignore[reportArgumentType, reportCallIssue]
        torch._foreach_clamp_min_(gradients, -tau)  # pyright: ignore[reportArgumentType, reportCallIssue]

    optimizer.register_step_pre_hook(clip)
    return optimizer


def _parameters(optimizer: Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]

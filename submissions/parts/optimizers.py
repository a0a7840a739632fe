"""Update rules that several submissions share, at a point of their family's space."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn
from torch.optim import SGD, NAdam, Optimizer

MEANING = 1  # raised when results change: see submissions/environment.py


def nadamw(model: nn.Module, hp: SimpleNamespace) -> Optimizer:
    """The update rule of the reference, at a point of ADAM_SPACE."""
    return NAdam(
        model.parameters(),
        lr=hp.lr,
        betas=(1 - hp.one_minus_beta1, hp.beta2),
        weight_decay=hp.weight_decay,
        decoupled_weight_decay=True,
        foreach=True,
    )


def sgd(model: nn.Module, hp: SimpleNamespace, *, nesterov: bool = False) -> Optimizer:
    """SGD with momentum in its fused form, at a point of MOMENTUM_SPACE."""
    return SGD(
        model.parameters(),
        lr=hp.lr,
        momentum=1 - hp.one_minus_momentum,
        weight_decay=hp.weight_decay,
        nesterov=nesterov,
        fused=True,
    )

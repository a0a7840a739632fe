"""BatchNorm's running statistics, for weights that were never trained with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

MEANING = 1  # raised when results change: see submissions/environment.py


def norms(model: nn.Module) -> list[_BatchNorm]:
    """The model's BatchNorm layers."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Keeps running statistics as they are while the context lasts; batches are normalized by their own as ever."""
    layers = norms(model)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def reestimate(model: nn.Module, inputs: Iterable[tuple[torch.Tensor, ...]]) -> None:
    """Replaces the running statistics by plain averages over some batches; a model without BatchNorm is left alone.

    As `torch.optim.swa_utils.update_bn` does, for models of any number of inputs.
    """
    layers = norms(model)
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
    with torch.no_grad():
        for batch in inputs:
            model(*batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def remember_inputs(model: nn.Module, count: int) -> deque[tuple[torch.Tensor, ...]]:
    """The inputs of the last `count` training steps, kept up to date; none for a model without BatchNorm."""
    recent: deque[tuple[torch.Tensor, ...]] = deque(maxlen=count)
    if norms(model):
        model.register_forward_pre_hook(
            lambda _, inputs: recent.append(inputs) if torch.is_grad_enabled() else None
        )
    return recent

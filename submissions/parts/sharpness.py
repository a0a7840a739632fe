"""Gradients at a point uphill from the weights, which methods that seek flat minima take as a second one a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from submissions.parts.batch_norm import frozen_statistics


@contextmanager
def ascended(model: nn.Module, parameters: Sequence[nn.Parameter], scale: Tensor | float) -> Iterator[None]:
    """Moves parameters by scale x their gradients while the context lasts; BatchNorm's statistics stay as they are.

    Parameters without a gradient stay where they are.
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    with torch.no_grad():
        kept = [parameter.clone() for parameter in moved]
        for parameter in moved:
            parameter.add_(parameter.grad * scale)
    try:
        with frozen_statistics(model):
            yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, kept)


def ascend_radius(parameters: Sequence[nn.Parameter], radius: float) -> Tensor:
    """The scale for `ascended` that makes a step of Euclidean length `radius`: radius / (|gradient| + 1e-12)."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return radius / (torch.nn.utils.get_total_norm(gradients) + 1e-12)

"""Gradients at a point uphill from the weights, which methods that seek flat minima take as a second one a step."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from submissions.base import Training
from submissions.parts.batch_norm import frozen_statistics
from workloads.base import Batch

MEANING = 1  # raised when results change: see submissions/environment.py


@contextmanager
def ascended(model: nn.Module, parameters: Sequence[Tensor], scale: Tensor | float) -> Iterator[None]:
    """Moves parameters by scale x their gradients while the context lasts; BatchNorm's statistics stay as they are.

    Parameters without a gradient stay where they are.
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    with torch.no_grad():
        kept = [parameter.clone() for parameter in moved]
        for parameter in moved:
            parameter.add_(parameter.grad * scale)  # pyright: ignore[reportOperatorIssue]
    try:
        with frozen_statistics(model):
            yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, kept)


def sharpness_aware_update(training: Training, batch: Batch, parameters: Sequence[nn.Parameter]) -> Tensor:
    """A step by the gradient that is found `rho` uphill in some of the parameters, along their own gradient.

    Returns the loss before it. (Foret et al., 2021, arXiv:2010.01412.)
    """
    closure = training.closure(batch)
    loss = closure()
    length = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    with ascended(training.model, parameters, training.hp.rho / (length + 1e-12)):
        closure()
    training.optimizer.step()
    training.advance()
    return loss

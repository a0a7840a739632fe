"""The losses of the workloads, each `loss(outputs, batch, label_smoothing=0.0) -> LossTerms`.

They give the loss of each example and its number of units, so that one function serves training, evaluation and
algorithms that choose or weigh examples.
"""

from __future__ import annotations

from torch import Tensor, full_like
from torch.nn import functional

from workloads.base import Batch, LossTerms


def cross_entropy(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Logits [B, C] with int64 targets [B], or [B, L, C] with [B, L]; in nats, a unit being a target.

    Label smoothing spreads that share of each target evenly over all classes, as in `torch.nn.CrossEntropyLoss`.
    """
    classes = outputs.shape[-1]
    losses = functional.cross_entropy(
        outputs.reshape(-1, classes), batch.targets.reshape(-1), reduction="none", label_smoothing=label_smoothing
    )
    return _per_example(losses.view(len(batch), -1))


def binary_cross_entropy(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Logits [B] or [B, T] with float targets in [0, 1] of the same shape; in nats, a unit being a label.

    Label smoothing draws each target to one half: y becomes y (1 - s) + s / 2.
    """
    targets = batch.targets
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return _per_example(losses.view(len(batch), -1))


def _per_example(losses: Tensor) -> LossTerms:
    summed = losses.sum(dim=1)
    return LossTerms(summed, full_like(summed, losses.shape[1], requires_grad=False))

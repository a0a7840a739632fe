"""The losses of the workloads, each `loss(outputs, batch, label_smoothing=0.0) -> LossTerms`.

They give the loss of each example and its number of units, so that one function serves training, evaluation and
algorithms that choose or weigh examples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from workloads.base import PADDING, Batch, LossTerms


def cross_entropy(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Logits [B, C] with int64 targets [B], or [B, L, C] with [B, L]; in nats, a unit being a target.

    Targets that are PADDING do not count. Label smoothing spreads that share of each target evenly over all
    classes, as in `torch.nn.CrossEntropyLoss`.
    """
    classes = outputs.shape[-1]
    losses = functional.cross_entropy(
        outputs.reshape(-1, classes),
        batch.targets.reshape(-1),
        reduction="none",
        label_smoothing=label_smoothing,
        ignore_index=PADDING,
    )
    count = len(batch.targets)
    return _per_example(losses.view(count, -1), batch.targets.view(count, -1) != PADDING)


def binary_cross_entropy(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Logits [B] or [B, T] with float targets in [0, 1] of the same shape; in nats, a unit being a label.

    A target that is NaN is missing and does not count. Label smoothing draws each target to one half: y becomes
    y (1 - s) + s / 2.
    """
    known = ~batch.targets.isnan()
    targets = batch.targets.nan_to_num()
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return _per_example(losses.where(known, 0.0), known)


def l1(outputs: Tensor, batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Absolute errors of outputs [B, ...] against targets of the same shape, a unit being an element.

    Raises ValueError for label smoothing, which needs classes.
    """
    _refuse_smoothing(label_smoothing, "l1")
    losses = functional.l1_loss(outputs, batch.targets, reduction="none")
    return _per_example(losses, torch.ones_like(losses, dtype=torch.bool))


def ctc(outputs: tuple[Tensor, Tensor], batch: Batch, label_smoothing: float = 0.0) -> LossTerms:
    """Connectionist temporal classification (Graves et al., 2006); in nats, a unit being a letter of the target.

    Outputs are logits [B, T, C] and their lengths, int64 [B]; class 0 is the blank. Targets [B, L] are filled up
    with PADDING, and each must fit its length. Raises ValueError for label smoothing, which needs a class a frame.
    """
    _refuse_smoothing(label_smoothing, "ctc")
    logits, lengths = outputs
    known = batch.targets != PADDING
    letters = known.sum(dim=1)
    losses = functional.ctc_loss(
        logits.log_softmax(dim=-1).transpose(0, 1),
        batch.targets.clamp(min=0),
        lengths,
        letters,
        reduction="none",
    )
    return LossTerms(losses, letters.to(losses.dtype))


def _refuse_smoothing(label_smoothing: float, loss: str) -> None:
    if label_smoothing:
        raise ValueError(
            f"label smoothing of {label_smoothing} was asked for with the loss {loss}, expected 0: it needs "
            "classes as targets; `workload.loss_kind` tells beforehand"
        )


def _per_example(losses: Tensor, counts: Tensor) -> LossTerms:
    """Losses [B] or [B, ...] and which of them count, bool of the same shape."""
    summed = losses.view(len(losses), -1).sum(dim=1)
    return LossTerms(summed, counts.view(len(losses), -1).sum(dim=1).to(summed.dtype))

"""How models are judged: the metrics, and the one function that evaluates a model on a split."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from workloads.base import Arrays, Batch, LossFunction, Metric, Workload


def mean_loss(loss: LossFunction, name: str) -> Metric:
    """The mean of a loss over all units (tokens, labels) of the split, in nats."""
    return Metric(name=name, rows=partial(_loss_rows, loss), reduce=_weighted_mean)


def evaluate(workload: Workload, model: nn.Module, arrays: Arrays, device: torch.device) -> float | None:
    """The workload's metric of a model on a split, each example counted once; None when it is not finite.

    `arrays` come from `open_split` with the workload's limit. The model is used in evaluation mode and left in
    the mode it was in; its weights and buffers are not touched.
    """
    count = len(next(iter(arrays.values())))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            rows = []
            for start in range(0, count, workload.eval_batch_size):
                index = np.arange(start, min(start + workload.eval_batch_size, count))
                batch = to_device(workload.collate(arrays, index), device)
                rows.append(workload.metric.rows(model(*batch.inputs), batch))
            # A mean over many float32 numbers loses digits; a non-finite row must reach the result.
            value = float(workload.metric.reduce(torch.cat(rows).double().cpu()))
    finally:
        for module, training in modes:
            module.training = training
    return value if math.isfinite(value) else None


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch with its tensors on a device; the batch itself if they are there."""
    if batch.index.device == device:
        return batch
    inputs = tuple(tensor.to(device, non_blocking=True) for tensor in batch.inputs)
    return Batch(inputs, batch.targets.to(device, non_blocking=True), batch.index.to(device, non_blocking=True))


def _wrong(outputs: Tensor, batch: Batch) -> Tensor:
    """[B, 1]: 1 where the class with the highest score is not the target; NaN where scores are not finite."""
    # argmax takes a NaN for the highest score, so a model of NaNs would get one class right.
    wrong = (outputs.argmax(dim=-1) != batch.targets).to(outputs.dtype)
    return (wrong + 0 * outputs.sum(dim=-1)).unsqueeze(1)


def _mean(rows: Tensor) -> float:
    return rows.mean().item()


def _loss_rows(loss: LossFunction, outputs: Tensor, batch: Batch) -> Tensor:
    return torch.stack(loss(outputs, batch), dim=1)


def _weighted_mean(rows: Tensor) -> float:
    return (rows[:, 0].sum() / rows[:, 1].sum()).item()


ERROR_RATE = Metric(name="error_rate", rows=_wrong, reduce=_mean)
"""Share of examples whose highest-scored class is not the target, in [0, 1]; outputs [B, C]."""

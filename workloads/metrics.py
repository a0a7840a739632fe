"""How models are judged: the metrics, and the one function that evaluates a model on a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from workloads.base import Arrays, Batch, LossFunction, Metric, Workload


def mean_loss(loss: LossFunction, name: str) -> Metric:
    """The mean of a loss over all units (tokens, labels) of the split, in nats."""
    return Metric(name=name, rows=partial(of_outputs, partial(_loss_rows, loss)), reduce=ratio_of_sums)


def of_outputs(rows: Callable[..., Tensor], model: nn.Module, batch: Batch) -> Tensor:
    """Rows of a metric that looks at nothing but the model's outputs: `rows(outputs, batch)`, [examples, k]."""
    return rows(model(*batch.inputs), batch)


def ratio_of_sums(rows: Tensor) -> float:
    """The sum of the first column over that of the second: a mean over all units, a rate over all letters."""
    return (rows[:, 0].sum() / rows[:, 1].sum()).item()


class EvalResult(NamedTuple):
    """What an evaluation found: the metric and, by name, those beside it; None for what is not finite."""

    value: float | None
    extra_metrics: Mapping[str, float | None]


Rows = list[tuple[Tensor, ...]]
"""Of each batch in order, the rows of the workload's metric and of those beside it."""


def evaluate(workload: Workload, model: nn.Module, arrays: Arrays, device: torch.device) -> EvalResult:
    """The workload's metrics of a model on a split, each example counted once.

    `arrays` come from `open_split` with the workload's limit. The model is used in evaluation mode and left in
    the mode it was in; its weights and buffers are not touched.
    """
    return judge(workload, evaluate_part(workload, model, arrays, device))


def evaluate_part(
    workload: Workload, model: nn.Module, arrays: Arrays, device: torch.device, part: int = 0, parts: int = 1
) -> Rows:
    """What `evaluate` finds in batches `part`, `part + parts`, ... of a split. Raises as the model does."""
    count = len(next(iter(arrays.values())))
    order = np.arange(count) if workload.lengths is None else np.argsort(workload.lengths(arrays), kind="stable")
    metrics = (workload.metric, *workload.extra_metrics)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    size, rows = workload.eval_batch_size, []
    try:
        with torch.inference_mode():
            for start in range(part * size, count, parts * size):
                batch = to_device(workload.collate(arrays, order[start : start + size]), device)
                rows.append(tuple(metric.rows(model, batch) for metric in metrics))
    finally:
        for module, training in modes:
            module.training = training
    return [tuple(found.cpu() for found in batch) for batch in rows]


def judge(workload: Workload, rows: Rows) -> EvalResult:
    """The metrics by the rows of all batches."""
    metrics = (workload.metric, *workload.extra_metrics)
    by_metric = zip(metrics, zip(*rows, strict=True), strict=True)
    with torch.inference_mode():
        # A mean over many float32 numbers loses digits; a non-finite row must reach the result.
        values = [metric.reduce(torch.cat(found).double()) for metric, found in by_metric]
    value, *others = (float(value) if math.isfinite(value) else None for value in values)
    return EvalResult(value, {m.name: other for m, other in zip(workload.extra_metrics, others, strict=True)})


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch with its tensors on a device; the batch itself if they are there."""
    if batch.index.device == device:
        return batch
    inputs = tuple(tensor.to(device, non_blocking=True) for tensor in batch.inputs)
    targets, index = (tensor.to(device, non_blocking=True) for tensor in (batch.targets, batch.index))
    return replace(batch, inputs=inputs, targets=targets, index=index)


def _wrong(outputs: Tensor, batch: Batch) -> Tensor:
    """[B, 1]: 1 where the class with the highest score is not the target; NaN where scores are not finite."""
    # argmax takes a NaN for the highest score, so a model of NaNs would get one class right.
    wrong = (outputs.argmax(dim=-1) != batch.targets).to(outputs.dtype)
    return (wrong + 0 * outputs.sum(dim=-1)).unsqueeze(1)


def _mean(rows: Tensor) -> float:
    return rows.mean().item()


def _loss_rows(loss: LossFunction, outputs: Tensor, batch: Batch) -> Tensor:
    return torch.stack(loss(outputs, batch), dim=1)


ERROR_RATE = Metric(name="error_rate", rows=partial(of_outputs, _wrong), reduce=_mean)
"""Share of examples whose highest-scored class is not the target, in [0, 1]; outputs [B, C]."""

"""Mean average precision: how well a model ranks the examples of each of several labels, some of them missing."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from workloads.base import Batch, Metric
from workloads.metrics import of_outputs


def average_precisions(scores: Tensor, labels: Tensor) -> Tensor:
    """The average precision of each column of finite scores [N, T]; [T], NaN for one without positives.

    Labels [N, T] are 1, 0, or NaN where missing, which counts as neither. It is the sum over all thresholds of
    precision times the gain in recall; examples of equal score pass a threshold together.
    """
    known = ~labels.isnan()
    # What is missing comes last, and adds nothing to any count.
    falling, order = (-scores.where(known, -torch.inf)).T.contiguous().sort(dim=1)
    hits = labels.nan_to_num().T.gather(1, order)
    # The gain in recall is spread over the positives, each with the precision that its threshold gives.
    end = torch.searchsorted(falling, falling, right=True) - 1
    precision = hits.cumsum(dim=1).gather(1, end) / known.T.gather(1, order).cumsum(dim=1).gather(1, end).clamp(
        min=1
    )
    return (hits * precision).sum(dim=1) / hits.sum(dim=1)


def _rows(outputs: Tensor, batch: Batch) -> Tensor:
    return torch.cat([outputs, batch.targets], dim=1)


def _mean(rows: Tensor) -> float:
    scores, labels = rows.chunk(2, dim=1)
    if not scores.isfinite().all():
        return torch.nan
    judged = (labels == 1).any(dim=0) & (labels == 0).any(dim=0)
    return average_precisions(scores[:, judged], labels[:, judged]).mean().item()


MEAN_AVERAGE_PRECISION = Metric(
    name="mean_average_precision", rows=partial(of_outputs, _rows), reduce=_mean, higher_is_better=True
)
"""The mean over all labels that have positives and negatives; scores [B, T], targets [B, T] 1, 0 or NaN."""

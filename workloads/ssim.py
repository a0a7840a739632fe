"""Structural similarity of images (Wang et al., 2004), as the fastMRI benchmark computes it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from workloads.base import Batch, Metric
from workloads.metrics import of_outputs

_WINDOW = 7
_K1, _K2 = 0.01, 0.03


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """[B] similarities, at most 1, of images [B, H, W] to references of the same shape, H and W from 7 on.

    The mean over all windows of 7x7 pixels, which count evenly, with sample covariances; the data range of a pair
    is the reference's maximum. The same scale on both changes nothing. NaN when an image has a value that is not
    finite, or when a reference is black.
    """
    maximum = references.amax(dim=(1, 2), keepdim=True)
    x, y = images / maximum, references / maximum
    means = _window_means(torch.stack([x, y, x * x, y * y, x * y], dim=1))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = means.unbind(dim=1)
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    variances = unbiased * (mean_xx - mean_x**2 + mean_yy - mean_y**2)
    covariance = unbiased * (mean_xy - mean_x * mean_y)
    brightness = (2 * mean_x * mean_y + _K1**2) / (mean_x**2 + mean_y**2 + _K1**2)
    return (brightness * (2 * covariance + _K2**2) / (variances + _K2**2)).mean(dim=(1, 2))


def _window_means(maps: Tensor) -> Tensor:
    # Rows, then columns: 14 additions a pixel, not 49.
    return functional.avg_pool2d(functional.avg_pool2d(maps, (_WINDOW, 1), 1), (1, _WINDOW), 1)


def _rows(outputs: Tensor, batch: Batch) -> Tensor:
    return ssim(outputs, batch.targets).unsqueeze(1)


def _mean(rows: Tensor) -> float:
    return rows.mean().item()


SSIM = Metric(name="ssim", rows=partial(of_outputs, _rows), reduce=_mean, higher_is_better=True)
"""Mean structural similarity of the outputs [B, H, W] to the targets."""

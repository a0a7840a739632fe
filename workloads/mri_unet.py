"""Magnetic resonance images out of a quarter of a scan, by a U-Net.

The architecture is that of Ronneberger et al. (2015), arXiv:1505.04597, in the form of fastMRI's baseline (Zbontar
et al., 2018, arXiv:1811.08839).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets.mri import CENTRE, MRI, SIZE
from workloads.losses import l1
from workloads.ssim import SSIM

Activation = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]


def instance_norm(channels: int) -> nn.Module:
    """Each channel of each image for itself."""
    # The same numbers as nn.InstanceNorm2d, which takes longer on a CPU.
    return nn.GroupNorm(channels, channels)


def layer_norm(channels: int) -> nn.Module:
    """All channels of an image together."""
    return nn.GroupNorm(1, channels)


def leaky_relu() -> nn.Module:
    """Of slope 0.2 below zero."""
    return nn.LeakyReLU(0.2)


class Block(nn.Sequential):
    """Two 3x3 convolutions, each normalised and activated; [B, inputs, H, W] to [B, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, activation: Activation) -> None:
        super().__init__(
            *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norm(outputs), activation()),
            *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), norm(outputs), activation()),
        )


class UNet(nn.Module):
    """Images [B, H, W] to images of the same shape.

    Each of `levels` halves the image and doubles the `width` channels; on the way back up each has the features
    beside it that it had on the way down. Before all that, `fold` x `fold` pixels become the channels of one. H and
    W are multiples of fold * 2 ** levels.
    """

    def __init__(
        self,
        width: int,
        levels: int,
        fold: int = 1,
        norm: Norm = instance_norm,
        activation: Activation = leaky_relu,
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.fold = fold
        self.stem = Block(fold**2, width, norm, activation)
        self.down = nn.ModuleList(Block(upper, lower, norm, activation) for upper, lower in pairwise(widths))
        # The way up, deepest level first.
        steps = [(lower, upper) for upper, lower in pairwise(widths)][::-1]
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(lower, upper, 2, 2, bias=False), norm(upper), activation())
            for lower, upper in steps
        )
        self.merge = nn.ModuleList(Block(2 * upper, upper, norm, activation) for _, upper in steps)
        self.head = nn.Conv2d(width, fold**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(functional.pixel_unshuffle(images.unsqueeze(1), self.fold))
        passed = []
        for block in self.down:
            passed.append(features)
            features = block(functional.avg_pool2d(features, 2))
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([up(features), passed.pop()], dim=1))
        return functional.pixel_shuffle(self.head(features), self.fold).squeeze(1)


def collate(size: int, arrays: Arrays, index: np.ndarray) -> Batch:
    """The middle of scans and of true images, each [B, size, size] float32, divided by the scan's root mean square.

    A scale, unlike fastMRI's mean and deviation, does not change the similarity and leaves black at 0.
    """
    part = slice((SIZE - size) // 2, (SIZE + size) // 2)
    scans, images = (torch.from_numpy(arrays[name][index, part, part]).float() for name in ("scan", "image"))
    scale = scans.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return Batch((scans / scale,), images / scale, torch.from_numpy(index))


VARIANTS = {"layer_norm": {"norm": layer_norm}, "tanh": {"activation": nn.Tanh}}

MINI = Workload(
    name="mri_unet",
    suite="mini",
    task="MRI reconstruction",
    dataset=MRI,
    # Folded, the work is in matrix products: at full width a CPU would spend it in passes over memory.
    model=partial(UNet, width=16, levels=2, fold=2),
    loss=l1,
    loss_kind=LossKind.L1,
    metric=SSIM,
    collate=partial(collate, CENTRE),
    batch_size=4,
    step_hint=1000,
    eval_batch_size=40,
    validation_examples=120,
    heads=("head.weight", "head.bias"),
    algoperf=("fastmri",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(UNet, width=8, levels=2, fold=4),
    step_hint=60,
    evaluations=5,
    train_examples=2000,
    validation_examples=120,
    test_examples=120,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.TF32,
    model=partial(UNet, width=32, levels=4),
    collate=partial(collate, SIZE),
    batch_size=16,
    step_hint=6000,
    eval_batch_size=120,
    validation_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)

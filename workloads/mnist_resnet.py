"""Digits by a residual convolutional network with batch normalisation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets.mnist import MNIST
from workloads.losses import cross_entropy
from workloads.metrics import ERROR_RATE


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added; [B, inputs, H, W] to [B, outputs, H / stride, ...].

    The normalisation before the sum starts with the scale `branch_scale`.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, activation: type[nn.Module], branch_scale: float
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.norm2.weight, branch_scale)
        self.activation = activation()
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.activation(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """Images [B, 1, 28, 28] to logits [B, 10]. A stage has `blocks` blocks; all but the first halve the image."""

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: int,
        stem: int,
        stem_stride: int,
        activation: type[nn.Module] = nn.ReLU,
        branch_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], stem, stem_stride, (stem - stem_stride + 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.activation = activation()
        stages, inputs = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stages.append(Block(inputs, width, 2 if stage and not block else 1, activation, branch_scale))
                inputs = width
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(self.activation(self.norm(self.stem(images))))
        return self.head(features.mean(dim=(2, 3)))


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Images [B, 1, 28, 28] float32 in [0, 1] and labels [B] int64."""
    images = torch.from_numpy(arrays["image"][index]).unsqueeze(1).float().div_(255)
    return Batch((images,), torch.from_numpy(arrays["label"][index]).long(), torch.from_numpy(index))


MINI = Workload(
    name="mnist_resnet",
    suite="mini",
    task="image classification",
    dataset=MNIST,
    # A stem of stride 4 leaves 7x7 positions: on a CPU time goes into matrix products, not into passes over memory.
    model=partial(ResNet, widths=(32,), blocks=1, stem=6, stem_stride=4),
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=ERROR_RATE,
    collate=collate,
    batch_size=128,
    step_hint=1000,
    eval_batch_size=125,
    validation_examples=3500,
    test_examples=7000,
    heads=("head.weight", "head.bias"),
    algoperf=("imagenet_resnet",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(ResNet, widths=(16,), blocks=1, stem=6, stem_stride=4),
    batch_size=64,
    step_hint=50,
    evaluations=5,
    train_examples=2000,
    validation_examples=500,
    test_examples=500,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.TF32,
    model=partial(ResNet, widths=(64, 128, 256), blocks=2, stem=3, stem_stride=1),
    batch_size=256,
    step_hint=3000,
    eval_batch_size=2000,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "silu": {"activation": nn.SiLU},
    "large_branches": {"branch_scale": 8.0},
}

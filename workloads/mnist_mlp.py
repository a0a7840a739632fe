"""Digits by one hidden layer, in tiny batches: a yardstick for what a step costs beside its arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from workloads.base import Arrays, Batch, LossKind, Workload
from workloads.datasets.mnist import MNIST
from workloads.losses import cross_entropy
from workloads.metrics import ERROR_RATE


class MLP(nn.Module):
    """Images [B, 784] to logits [B, 10]."""

    def __init__(self, width: int = 128, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, width)
        self.activation = activation()
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.activation(self.hidden(images)))


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Images [B, 784] float32 in [0, 1] and labels [B] int64."""
    images = torch.from_numpy(arrays["image"][index]).flatten(1).float().div_(255)
    return Batch((images,), torch.from_numpy(arrays["label"][index]).long(), torch.from_numpy(index))


SMOKE = Workload(
    name="mnist_mlp",
    suite="smoke",
    task="image classification",
    dataset=MNIST,
    model=MLP,
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=ERROR_RATE,
    collate=collate,
    batch_size=16,
    step_hint=300,
    evaluations=4,
    train_examples=5000,
    validation_examples=1000,
    test_examples=1000,
    heads=("head.weight", "head.bias"),
    algoperf=("mnist", "imagenet_resnet"),
)
WORKLOADS = (SMOKE,)
VARIANTS = {"narrow": {"width": 32}, "gelu": {"activation": nn.GELU}}

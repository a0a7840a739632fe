"""The climate of a satellite image by a Vision Transformer (Dosovitskiy et al., 2021).

An image is cut into patches, each of which becomes a token; what the tokens are at the end is averaged. In place of
the paper's token for the class, that saves a token and learns as well (Beyer et al., 2022).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from workloads.attention import Attention, Block
from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets.satellite import CLIMATES, SATELLITE, SIZE
from workloads.losses import cross_entropy
from workloads.metrics import ERROR_RATE, mean_loss


class ViT(nn.Module):
    """Images [B, 3, 24, 24] to logits [B, len(CLIMATES)]. `patch` is the height and width of a token in pixels."""

    def __init__(
        self,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
        norm_first: bool = True,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embedding = nn.Linear(3 * patch**2, width)
        self.position = nn.Parameter(torch.empty((SIZE // patch) ** 2, width))
        self.blocks = nn.Sequential(
            *(Block(Attention(width, heads, temperature), width, dropout, norm_first) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.head = nn.Linear(width, len(CLIMATES))
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Unit variance goes through unchanged at any width; what is added to the stream starts smaller, the
                # more layers add to it.
                added = name.endswith(("attention.out.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=(parameter.shape[1] * (2 * layers if added else 1)) ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        size, side = len(images), SIZE // self.patch
        tiles = images.reshape(size, 3, side, self.patch, side, self.patch).permute(0, 2, 4, 1, 3, 5)
        x = self.embedding(tiles.reshape(size, side**2, -1)) + self.position
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Images [B, 3, 24, 24] float32 in [0, 1] and labels [B] int64."""
    images = torch.from_numpy(arrays["image"][index]).float().div_(255)
    return Batch((images,), torch.from_numpy(arrays["label"][index]).long(), torch.from_numpy(index))


MINI = Workload(
    name="satellite_vit",
    suite="mini",
    task="image classification by attention",
    dataset=SATELLITE,
    model=partial(ViT, patch=4, width=48, layers=2, heads=3),
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=ERROR_RATE,
    extra_metrics=(mean_loss(cross_entropy, "loss"),),
    collate=collate,
    batch_size=40,
    step_hint=1000,
    eval_batch_size=64,
    validation_examples=1000,
    heads=("head.weight", "head.bias"),
    algoperf=("imagenet_vit",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(ViT, patch=8, width=32, layers=1, heads=2),
    batch_size=16,
    step_hint=60,
    evaluations=5,
    train_examples=2000,
    validation_examples=200,
    test_examples=200,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.BF16,
    model=partial(ViT, patch=2, width=192, layers=9, heads=3, dropout=0.1),
    batch_size=256,
    step_hint=5000,
    eval_batch_size=500,
    validation_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "post_norm": {"norm_first": False},
    "temperature": {"temperature": 4.0},
}

"""Spoken words by a Conformer: convolution and attention in each block, and letters by CTC.

The architecture is that of Gulati et al. (2020), arXiv:2005.08100, with two changes. Positions are sinusoids added
to the first block's input instead of relative ones, and the convolution's normalisation is LayerNorm, for which
padding is nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.attention import Attention
from workloads.base import LossKind, Precision, Workload
from workloads.datasets.speech import SPEECH
from workloads.losses import ctc
from workloads.metrics import mean_loss
from workloads.speech import CHARACTER_ERROR_RATE, CLASSES, Subsampling, collate, frames, within


class Convolution(nn.Module):
    """A gated linear layer, a convolution of each channel over time, and a linear layer.

    [B, L, width] to the same; `mask`, bool [B, L], is false where there is padding.
    """

    def __init__(self, width: int, kernel: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.gated = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.activation = activation()
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        gated = functional.glu(self.gated(x)) * mask.unsqueeze(2)
        near = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        return self.out(self.activation(self.norm(near)))


class Block(nn.Module):
    """Half a network, attention, convolution, the other half, all added to their input; as for Convolution."""

    def __init__(
        self,
        width: int,
        heads: int,
        kernel: int,
        expansion: int,
        dropout: float,
        activation: type[nn.Module],
        temperature: float,
    ) -> None:
        super().__init__()
        self.mlp1, self.mlp2 = (
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, expansion * width),
                activation(),
                nn.Linear(expansion * width, width),
            )
            for _ in range(2)
        )
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, temperature)
        self.norm2 = nn.LayerNorm(width)
        self.convolution = Convolution(width, kernel, activation)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + 0.5 * self.dropout(self.mlp1(x))
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        x = x + self.dropout(self.convolution(self.norm2(x), mask))
        return self.norm3(x + 0.5 * self.dropout(self.mlp2(x)))


class Conformer(nn.Module):
    """Frames [B, T, MELS] and how many are no padding [B] to logits [B, T', CLASSES] and their lengths [B]."""

    def __init__(
        self,
        width: int,
        blocks: int,
        heads: int,
        kernel: int,
        channels: int,
        expansion: int = 4,
        dropout: float = 0.0,
        activation: type[nn.Module] = nn.SiLU,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(channels, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, kernel, expansion, dropout, activation, temperature) for _ in range(blocks)
        )
        self.head = nn.Linear(width, CLASSES)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.subsampling(mel, frames)
        x = self.dropout(x + _positions(x))
        mask = within(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x), lengths


def _positions(x: Tensor) -> Tensor:
    """[L, width] for [B, L, width]: sines and cosines of wavelengths from 2 pi to 2 pi 1000."""
    _, length, width = x.shape
    rates = torch.exp(torch.arange(0, width, 2, device=x.device) * (-math.log(1000) / width))
    angles = torch.arange(length, device=x.device).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype)


MINI = Workload(
    name="speech_conformer",
    suite="mini",
    task="speech recognition by attention",
    dataset=SPEECH,
    model=partial(Conformer, width=96, blocks=2, heads=4, kernel=7, channels=8, expansion=2),
    loss=ctc,
    loss_kind=LossKind.CTC,
    metric=CHARACTER_ERROR_RATE,
    extra_metrics=(mean_loss(ctc, "loss"),),
    collate=collate,
    lengths=frames,
    batch_size=12,
    step_hint=1000,
    eval_batch_size=100,
    validation_examples=450,
    test_examples=1400,
    heads=("head.weight", "head.bias"),
    algoperf=("librispeech_conformer",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(Conformer, width=32, blocks=1, heads=2, kernel=5, channels=8, expansion=2),
    batch_size=16,
    step_hint=60,
    evaluations=5,
    train_examples=1000,
    validation_examples=150,
    test_examples=150,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.BF16,
    model=partial(Conformer, width=256, blocks=8, heads=4, kernel=15, channels=64, dropout=0.2),
    batch_size=64,
    step_hint=5000,
    eval_batch_size=400,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "gelu": {"activation": nn.GELU},
    "temperature": {"temperature": 1.6},
}

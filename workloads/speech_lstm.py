"""Spoken words by convolutions and bidirectional LSTM layers, and letters by CTC.

The architecture is that of Deep Speech 2, Amodei et al. (2015), arXiv:1512.02595, with LSTM cells and with each
layer's input added to its output. Normalisation is over all frames of all examples that are no padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from workloads.base import LossKind, Precision, Workload
from workloads.datasets.speech import SPEECH
from workloads.losses import ctc
from workloads.metrics import mean_loss
from workloads.speech import CHARACTER_ERROR_RATE, CLASSES, Subsampling, collate, frames


class Layer(nn.Module):
    """Normalisation, then an LSTM of each direction, half of the width each; packed sequences to the same."""

    def __init__(self, width: int, dropout: float, norm: Callable[[int], nn.Module], residual: bool) -> None:
        super().__init__()
        self.norm = norm(width)
        self.lstm = nn.LSTM(width, width // 2, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: PackedSequence) -> PackedSequence:
        inner, _ = self.lstm(x._replace(data=self.norm(x.data)))
        data = self.dropout(inner.data)
        return x._replace(data=x.data + data if self.residual else data)


class DeepSpeech(nn.Module):
    """Frames [B, T, MELS] and how many are no padding [B] to logits [B, T', CLASSES] and their lengths [B]."""

    def __init__(
        self,
        width: int,
        layers: int,
        channels: int,
        dropout: float = 0.0,
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(channels, width)
        self.layers = nn.Sequential(*(Layer(width, dropout, norm, residual) for _ in range(layers)))
        self.norm = norm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.subsampling(mel, frames)
        packed = self.layers(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        logits = packed._replace(data=self.head(self.norm(packed.data)))
        return pad_packed_sequence(logits, batch_first=True, total_length=x.shape[1])[0], lengths


MINI = Workload(
    name="speech_lstm",
    suite="mini",
    task="speech recognition by recurrence",
    dataset=SPEECH,
    model=partial(DeepSpeech, width=128, layers=2, channels=16),
    loss=ctc,
    loss_kind=LossKind.CTC,
    metric=CHARACTER_ERROR_RATE,
    extra_metrics=(mean_loss(ctc, "loss"),),
    collate=collate,
    lengths=frames,
    batch_size=16,
    step_hint=1000,
    eval_batch_size=100,
    validation_examples=450,
    test_examples=1400,
    heads=("head.weight", "head.bias"),
    algoperf=("librispeech_deepspeech",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(DeepSpeech, width=48, layers=1, channels=8),
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
    precision=Precision.TF32,
    model=partial(DeepSpeech, width=512, layers=4, channels=64, dropout=0.2),
    batch_size=64,
    step_hint=5000,
    eval_batch_size=400,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "layer_norm": {"norm": nn.LayerNorm},
    "no_residual": {"residual": False},
}

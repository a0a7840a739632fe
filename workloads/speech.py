"""What the speech workloads share: batches, the first layers of the models, and the character error rate."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.base import PADDING, Arrays, Batch, Metric
from workloads.datasets.speech import ALPHABET, MELS
from workloads.edit_distance import edit_distances
from workloads.metrics import of_outputs, ratio_of_sums

CLASSES = len(ALPHABET) + 1
"""The letters, and before them the blank of CTC, class 0."""


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Inputs [B, T, MELS] float32 near unit variance and their frames [B] int64; targets [B, L] int64."""
    frames, letters = arrays["frames"][index].astype(np.int64), arrays["letters"][index]
    mel = torch.from_numpy(arrays["mel"][index, : frames.max(initial=1)]).float().sub_(128).div_(48)
    text = torch.from_numpy(arrays["text"][index, : letters.max(initial=1)]).long()
    return Batch((mel, torch.from_numpy(frames)), text.masked_fill_(text == 0, PADDING), torch.from_numpy(index))


def frames(arrays: Arrays) -> np.ndarray:
    """The length of each example, [N]."""
    return arrays["frames"]


def within(lengths: Tensor, longest: int) -> Tensor:
    """[B, longest] bool: which positions are no padding, of sequences of these lengths [B]."""
    return torch.arange(longest, device=lengths.device) < lengths.unsqueeze(1)


class Subsampling(nn.Module):
    """Two convolutions over time and bands, each of stride 2: [B, T, MELS] with frames [B] to [B, T', width] with
    lengths [B], a quarter of them rounded up. What is padding counts as zero."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 2, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.out = nn.Linear(channels * MELS // 4, width)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = mel.unsqueeze(1)
        for conv in (self.conv1, self.conv2):
            x = functional.relu(conv(x * within(frames, x.shape[2])[:, None, :, None]))
            frames = (frames + 1) // 2
        return self.out(x.transpose(1, 2).flatten(2)), frames


def decoded(logits: Tensor, lengths: Tensor) -> Tensor:
    """The likeliest class of each frame of logits [B, T, C], repeats and blanks taken out; [B, T], then PADDING."""
    best = logits.argmax(dim=-1) * within(lengths, logits.shape[1])
    kept = best != 0
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    # Those not kept go to one more place, which is cut off.
    place = (kept.cumsum(dim=1) - 1).where(kept, logits.shape[1])
    texts = best.new_full((len(best), logits.shape[1] + 1), PADDING)
    return texts.scatter_(1, place, best)[:, :-1]


def _errors(outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
    """[B, 2]: edit distance and letters of the target; NaN where a logit is not finite."""
    logits, lengths = outputs
    distances = edit_distances(decoded(logits, lengths), batch.targets).to(logits.dtype)
    # argmax finds a class in anything, so a model of NaNs could get letters right.
    distances = distances.masked_fill(~logits.isfinite().all(dim=2).all(dim=1), torch.nan)
    return torch.stack([distances, (batch.targets != PADDING).sum(dim=1)], dim=1)


CHARACTER_ERROR_RATE = Metric(name="character_error_rate", rows=partial(of_outputs, _errors), reduce=ratio_of_sums)
"""Insertions, deletions and substitutions per letter of the target, decoding greedily; may be above 1."""

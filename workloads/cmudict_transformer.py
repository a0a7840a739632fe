"""Spelling to phones by an encoder-decoder Transformer; English to German, character by character, in suite base.

The architecture is that of Vaswani et al. (2017), arXiv:1706.03762, with normalisation before each part (Xiong et
al., 2020, arXiv:2002.04745) and learned positions. The model is trained on the right beginning of each target
and judged by what it writes on its own, taking the likeliest letter each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.base import PADDING, Arrays, Batch, LossKind, Metric, Precision, Workload
from workloads.datasets import cmudict, translation
from workloads.datasets.pairs import END, PAD
from workloads.edit_distance import edit_distances
from workloads.losses import cross_entropy
from workloads.metrics import mean_loss, ratio_of_sums

KeysValues = tuple[Tensor, Tensor]
"""What is attended to: keys and values, each [B, heads, S, width / heads]."""


class Attention(nn.Module):
    """Attention of several heads from positions [B, T, width] to what `keys_values` made of [B, S, width]."""

    def __init__(self, width: int, heads: int, temperature: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5 / temperature
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def keys_values(self, x: Tensor) -> KeysValues:
        keys, values = self.key_value(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, x: Tensor, seen: KeysValues, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """[B, T, width]; `mask` [B, S] is false where there is padding, `causal` hides what comes later."""
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(
            query, *seen, None if mask is None else mask[:, None, None], is_causal=causal, scale=self.scale
        )
        return self.out(mixed.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two layers for each position; [B, L, width] to the same."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(functional.relu(self.inner(x)))


class Residual(nn.Module):
    """The way around a part of a block: what the part gets, and what becomes of its output."""

    def __init__(self, width: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def enter(self, x: Tensor) -> Tensor:
        return self.norm(x) if self.norm_first else x

    def leave(self, x: Tensor, y: Tensor) -> Tensor:
        x = x + self.dropout(y)
        return x if self.norm_first else self.norm(x)


class EncoderBlock(nn.Module):
    """Attention of the source to itself, then an MLP; [B, S, width] to the same."""

    def __init__(
        self, attention: Callable[[], Attention], mlp: Callable[[], MLP], residual: Callable[[], Residual]
    ) -> None:
        super().__init__()
        self.attention, self.residual1 = attention(), residual()
        self.mlp, self.residual2 = mlp(), residual()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.residual1.enter(x)
        x = self.residual1.leave(x, self.attention(h, self.attention.keys_values(h), mask))
        return self.residual2.leave(x, self.mlp(self.residual2.enter(x)))


class Cross(nn.Module):
    """Attention of the target to the source; a module of its own for its parameters' names."""

    def __init__(self, attention: Callable[[], Attention], residual: Callable[[], Residual]) -> None:
        super().__init__()
        self.attention, self.residual = attention(), residual()

    def forward(self, x: Tensor, source: KeysValues, mask: Tensor) -> Tensor:
        return self.residual.leave(x, self.attention(self.residual.enter(x), source, mask))


class DecoderBlock(nn.Module):
    """Attention of the target to its past, attention to the source, then an MLP; [B, T, width] to the same."""

    def __init__(
        self, attention: Callable[[], Attention], mlp: Callable[[], MLP], residual: Callable[[], Residual]
    ) -> None:
        super().__init__()
        self.attention, self.residual1 = attention(), residual()
        self.cross = Cross(attention, residual)
        self.mlp, self.residual2 = mlp(), residual()

    def forward(
        self, x: Tensor, source: KeysValues, mask: Tensor, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Also returns the keys and values of the target; given them as `past`, x holds one new position."""
        h = self.residual1.enter(x)
        keys, values = self.attention.keys_values(h)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        x = self.residual1.leave(x, self.attention(h, (keys, values), causal=past is None))
        x = self.cross(x, source, mask)
        return self.residual2.leave(x, self.mlp(self.residual2.enter(x))), (keys, values)


class Transformer(nn.Module):
    """Sources [B, S] and targets moved on by one [B, T], both int64, to logits [B, T, classes] of the targets.

    A source has up to `longest` of `letters` numbers, a target up to `longest` and the END.
    """

    positions: Tensor

    def __init__(
        self,
        letters: int,
        classes: int,
        longest: int,
        width: int,
        inner: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
        temperature: float = 1.0,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        parts = (
            partial(Attention, width, heads, temperature),
            partial(MLP, width, inner),
            partial(Residual, width, dropout, norm_first),
        )
        self.letter = nn.Embedding(letters, width)
        self.letter_position = nn.Embedding(longest, width)
        self.encoder = nn.ModuleList(EncoderBlock(*parts) for _ in range(layers))
        self.norm1 = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.token = nn.Embedding(classes, width)
        self.token_position = nn.Embedding(longest + 1, width)
        self.decoder = nn.ModuleList(DecoderBlock(*parts) for _ in range(layers))
        self.norm2 = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes, bias=False)
        self.register_buffer("positions", torch.arange(longest + 1), persistent=False)
        # Embeddings keep their unit variance. As in GPT-2, what is added to the stream starts smaller, the more
        # parts add to it.
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                parts_added = 3 * layers if name.endswith(("attention.out", "mlp.out")) else 1
                nn.init.normal_(module.weight, std=(module.in_features * parts_added) ** -0.5)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, mask = self._encode(source)
        x = self.dropout(self.token(target) + self.token_position(self.positions[: target.shape[1]]))
        for block, seen in zip(self.decoder, memory, strict=True):
            x, _ = block(x, seen, mask)
        return self.head(self.norm2(x))

    def _encode(self, source: Tensor) -> tuple[list[KeysValues], Tensor]:
        """What each block of the decoder attends to, and [B, S] false where the source is padding."""
        mask = source != PAD
        x = self.dropout(self.letter(source) + self.letter_position(self.positions[: source.shape[1]]))
        for block in self.encoder:
            x = block(x, mask)
        x = self.norm1(x)
        return [block.cross.attention.keys_values(x) for block in self.decoder], mask  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]

    def greedy(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the model writes for each source, taking the likeliest letter each time.

        Letters int64 [B, L] without END, filled up with PADDING, and the sum of their logits [B], which is not
        finite where a logit was NaN. A source for which no END comes gets as many letters as there are positions.
        """
        memory, mask = self._encode(source)
        past: list[KeysValues | None] = [None] * len(self.decoder)
        token = source.new_full((len(source),), END)
        score = self.head.weight.new_zeros(len(source))
        open_ = torch.ones_like(token, dtype=torch.bool)
        letters = []
        for position in self.positions:
            x = (self.token(token) + self.token_position(position)).unsqueeze(1)
            for number, block in enumerate(self.decoder):
                x, past[number] = block(x, memory[number], mask, past[number])
            best, token = self.head(self.norm2(x)).squeeze(1).max(dim=1)
            score = score + best * open_
            open_ = open_ & (token != END)
            if not open_.any():
                break
            letters.append(token.where(open_, PADDING))
        return torch.stack(letters, dim=1) if letters else token.new_empty(len(token), 0), score


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Inputs: sources [B, S] and targets moved on by one, END first, [B, T]; targets [B, T]; all int64."""
    longest_source = arrays["source_length"][index].max(initial=1)
    longest_target = arrays["target_length"][index].max(initial=1)
    source = torch.from_numpy(arrays["source"][index, :longest_source]).long()
    target = torch.from_numpy(arrays["target"][index, :longest_target]).long()
    moved = functional.pad(target[:, :-1], (1, 0), value=END).clamp_(min=0)
    return Batch((source, moved), target, torch.from_numpy(index))


def lengths(arrays: Arrays) -> np.ndarray:
    """Letters of each example, [N], source and target together."""
    return arrays["source_length"] + arrays["target_length"]


def _errors(model: nn.Module, batch: Batch) -> Tensor:
    """[B, 2]: edit distance of what the model writes, and letters of the target; NaN where a logit was."""
    letters, score = cast(Transformer, model).greedy(batch.inputs[0])
    wanted = batch.targets.masked_fill(batch.targets == END, PADDING)
    distances = edit_distances(letters, wanted).to(score.dtype).masked_fill(~score.isfinite(), torch.nan)
    return torch.stack([distances, (wanted != PADDING).sum(dim=1)], dim=1)


PHONEME_ERROR_RATE = Metric(name="phoneme_error_rate", rows=_errors, reduce=ratio_of_sums)
"""Insertions, deletions and substitutions per phone of the target, decoding greedily; may be above 1."""

_SPELLING = partial(
    Transformer, letters=len(cmudict.LETTERS) + 1, classes=len(cmudict.PHONES) + 1, longest=cmudict.LONGEST
)
_SENTENCES = partial(
    Transformer,
    letters=len(translation.CHARACTERS) + 1,
    classes=len(translation.CHARACTERS) + 1,
    longest=translation.LONGEST,
)
MINI = Workload(
    name="cmudict_transformer",
    suite="mini",
    task="sequence to sequence",
    dataset=cmudict.CMUDICT,
    model=partial(_SPELLING, width=64, inner=256, layers=1, heads=2),
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=PHONEME_ERROR_RATE,
    extra_metrics=(mean_loss(cross_entropy, "loss"),),
    collate=collate,
    lengths=lengths,
    batch_size=96,
    step_hint=1000,
    eval_batch_size=500,
    validation_examples=800,
    test_examples=2400,
    heads=("head.weight",),
    algoperf=("wmt",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(_SPELLING, width=32, inner=64, layers=1, heads=2),
    batch_size=32,
    step_hint=60,
    evaluations=5,
    train_examples=4000,
    validation_examples=200,
    test_examples=200,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.BF16,
    dataset=translation.TRANSLATION,
    model=partial(_SENTENCES, width=384, inner=1536, layers=4, heads=6, dropout=0.3),
    metric=replace(PHONEME_ERROR_RATE, name="character_error_rate"),
    step_hint=6000,
    eval_batch_size=600,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "post_norm": {"norm_first": False},
    "temperature": {"temperature": 4.0},
}

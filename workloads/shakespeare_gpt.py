"""The next character by a decoder-only Transformer, with normalisation before each part.

The text is Shakespeare's; in suite base, for which that is too short, it is Python source code.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from workloads.attention import Attention, Block
from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets import shakespeare, source_code
from workloads.losses import cross_entropy
from workloads.metrics import mean_loss


class GPT(nn.Module):
    """Tokens [B, L] int64, L up to `length`, to logits [B, L, vocabulary] for the token after each."""

    positions: Tensor

    def __init__(
        self,
        length: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
        vocabulary: int = len(shakespeare.VOCABULARY),
        norm_first: bool = True,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        self.register_buffer("positions", torch.arange(length), persistent=False)
        attentions = (Attention(width, heads, temperature, bias=False, causal=True) for _ in range(layers))
        self.blocks = nn.Sequential(*(Block(attention, width, dropout, norm_first) for attention in attentions))
        self.norm = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Unit variance goes through unchanged at any width; what is added to the stream starts smaller, the
                # more layers add to it, as in GPT-2.
                added = name.endswith(("attention.out.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=(parameter.shape[1] * (2 * layers if added else 1)) ** -0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.position(self.positions[: tokens.shape[1]])
        return self.head(self.norm(self.blocks(x)))


def collate(arrays: Arrays, index: np.ndarray, length: int) -> Batch:
    """The first `length` + 1 tokens of the rows: inputs [B, length] int64 and the token after each, same shape."""
    text = torch.from_numpy(arrays["text"][index, : length + 1]).long()
    return Batch((text[:, :-1].contiguous(),), text[:, 1:].contiguous(), torch.from_numpy(index))


MINI = Workload(
    name="shakespeare_gpt",
    suite="mini",
    task="language model",
    dataset=shakespeare.SHAKESPEARE,
    model=partial(GPT, length=64, width=64, layers=2, heads=2),
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=mean_loss(cross_entropy, "loss"),
    collate=partial(collate, length=64),
    batch_size=16,
    step_hint=1000,
    eval_batch_size=32,
    validation_examples=320,
    test_examples=960,
    heads=("head.weight",),
    algoperf=("finewebedu_lm", "wmt"),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(GPT, length=32, width=32, layers=1, heads=2),
    collate=partial(collate, length=32),
    batch_size=8,
    step_hint=60,
    evaluations=5,
    eval_batch_size=64,
    train_examples=1000,
    validation_examples=128,
    test_examples=128,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.BF16,
    dataset=source_code.SOURCE_CODE,
    model=partial(
        GPT,
        length=source_code.LENGTH,
        width=512,
        layers=6,
        heads=8,
        dropout=0.1,
        vocabulary=len(source_code.VOCABULARY),
    ),
    collate=partial(collate, length=source_code.LENGTH),
    batch_size=64,
    step_hint=5000,
    eval_batch_size=128,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "post_norm": {"norm_first": False},
    "attention_temperature": {"temperature": 0.25},
}

"""Attention of a sequence to itself, and the block of a Transformer, as several workloads use them."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention of several heads among all positions (Vaswani et al., 2017); [B, L, width] to the same.

    `temperature` divides the scores: above 1 positions attend more evenly, below 1 to fewer. `causal` hides what
    comes later.
    """

    def __init__(
        self, width: int, heads: int, temperature: float = 1.0, *, bias: bool = True, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1 / math.sqrt(width // heads) / temperature
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`, bool [B, L], is false where there is padding."""
        size, length, width = x.shape
        q, k, v = self.qkv(x).view(size, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if mask is None else mask[:, None, None],
            is_causal=self.causal,
            scale=self.scale,
        )
        return self.out(mixed.transpose(1, 2).reshape(size, length, width))


class Block(nn.Module):
    """Attention, then a network for each position, both added to their input; [B, L, width] to the same.

    What is normalised is the input of each part (`norm_first`) or the sum.
    """

    def __init__(self, attention: Attention, width: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        if not self.norm_first:
            x = self.norm1(x + self.dropout(self.attention(x)))
            return self.norm2(x + self.dropout(self.mlp(x)))
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))

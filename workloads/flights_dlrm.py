"""Late flights by a deep learning recommendation model: embeddings, their dot products, and two dense networks.

The architecture is that of Naumov et al. (2019), arXiv:1906.00091.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets.flights import DENSE, FLIGHTS, TABLES
from workloads.losses import binary_cross_entropy
from workloads.metrics import mean_loss


class DLRM(nn.Module):
    """Numbers [B, dense] and table rows [B, tables] to logits [B]. `bottom` and `top` are hidden widths.

    Table entries start uniform between plus and minus `embedding_bound`; None is the paper's choice.
    """

    offsets: Tensor
    pairs: Tensor

    def __init__(
        self,
        dense: int,
        tables: tuple[int, ...],
        width: int,
        bottom: tuple[int, ...],
        top: tuple[int, ...],
        layer_norm: bool = False,
        embedding_bound: float | None = None,
    ) -> None:
        super().__init__()
        # One table for all columns: one lookup, one gradient.
        self.embedding = nn.Embedding(sum(tables), width)
        self.register_buffer("offsets", torch.tensor([0, *accumulate(tables)][:-1]), persistent=False)
        vectors = len(tables) + 1
        rows, columns = torch.tril_indices(vectors, vectors, offset=-1)
        self.register_buffer("pairs", rows * vectors + columns, persistent=False)
        self.bottom = _mlp((dense, *bottom, width), layer_norm)
        self.top = _mlp((width + vectors * (vectors - 1) // 2, *top), layer_norm)
        self.head = nn.Linear(top[-1], 1)
        with torch.no_grad():
            # As in the paper: the smaller a table, the larger its entries.
            for size, part in zip(tables, self.embedding.weight.split(list(tables)), strict=True):
                bound = size**-0.5 if embedding_bound is None else embedding_bound
                part.uniform_(-bound, bound)

    def forward(self, dense: Tensor, categorical: Tensor) -> Tensor:
        numbers = self.bottom(dense)
        vectors = torch.cat([numbers.unsqueeze(1), self.embedding(categorical + self.offsets)], dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1).index_select(1, self.pairs)
        return self.head(self.top(torch.cat([numbers, products], dim=1))).squeeze(1)


def _mlp(widths: tuple[int, ...], layer_norm: bool) -> nn.Sequential:
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        norm = [nn.LayerNorm(outputs)] if layer_norm else []
        parts += [nn.Linear(inputs, outputs), *norm, nn.ReLU()]
    return nn.Sequential(*parts)


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """Numbers [B, 16] float32, table rows [B, 12] int64, and whether it was late [B] float32."""
    inputs = (torch.from_numpy(arrays["dense"][index]), torch.from_numpy(arrays["categorical"][index]).long())
    return Batch(inputs, torch.from_numpy(arrays["late"][index]).float(), torch.from_numpy(index))


_MODEL = partial(DLRM, dense=len(DENSE), tables=tuple(TABLES.values()))

MINI = Workload(
    name="flights_dlrm",
    suite="mini",
    task="click-through rate",
    dataset=FLIGHTS,
    model=partial(_MODEL, width=32, bottom=(128,), top=(512, 256, 128)),
    loss=binary_cross_entropy,
    loss_kind=LossKind.BINARY_CROSS_ENTROPY,
    metric=mean_loss(binary_cross_entropy, "log_loss"),
    collate=collate,
    # Less than one epoch, as is usual for these models: in a second one they learn single flights by heart.
    batch_size=256,
    step_hint=1000,
    eval_batch_size=500,
    validation_examples=12000,
    test_examples=30000,
    heads=("head.weight", "head.bias"),
    algoperf=("criteo1tb",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(_MODEL, width=8, bottom=(16,), top=(32,)),
    batch_size=64,
    step_hint=60,
    evaluations=5,
    train_examples=4000,
    validation_examples=1000,
    test_examples=1000,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.TF32,
    model=partial(_MODEL, width=128, bottom=(512, 256), top=(1024, 1024, 512, 256)),
    batch_size=64,
    step_hint=4000,
    eval_batch_size=8000,
    validation_examples=None,
    test_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)
VARIANTS = {
    "layer_norm": {"layer_norm": True},
    "large_embedding": {"embedding_bound": 0.5},
}

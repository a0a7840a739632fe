"""Properties of molecules by a graph network: bonds, atoms and molecules are updated in turn, by messages.

The architecture is that of Battaglia et al. (2018), arXiv:1806.01261; messages between atoms were proposed for
molecules by Gilmer et al. (2017), arXiv:1704.01212.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from workloads.average_precision import MEAN_AVERAGE_PRECISION
from workloads.base import Arrays, Batch, LossKind, Precision, Workload
from workloads.datasets.molecules import ATOM, BANDS, BOND, MOLECULES, PROPERTIES
from workloads.losses import binary_cross_entropy

Norm = Callable[[int], nn.Module]
"""Makes a layer of normalisation for rows of a width."""


class Features(nn.Module):
    """Small integers [n, len(sizes)], each below its size, to the sum of their embeddings, [n, width]."""

    offsets: Tensor

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, *accumulate(sizes)][:-1]), persistent=False)
        self.embedding = nn.EmbeddingBag(sum(sizes), width, mode="sum")
        # The sum has unit variance.
        nn.init.normal_(self.embedding.weight, std=len(sizes) ** -0.5)

    def forward(self, features: Tensor) -> Tensor:
        return self.embedding(features + self.offsets)


class Update(nn.Module):
    """Adds to rows [n, width] a network of the rows and of a message of the same shape."""

    def __init__(self, width: int, activation: type[nn.Module], norm: Norm, dropout: float) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.norm = norm(width)
        self.activation = activation()
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, message: Tensor) -> Tensor:
        return x + self.dropout(self.out(self.activation(self.norm(self.own(x) + message))))


class Round(nn.Module):
    """One exchange of messages: bonds [E, width], atoms [N, width] and molecules [G, width] to the same."""

    def __init__(self, width: int, activation: type[nn.Module], norm: Norm, dropout: float) -> None:
        super().__init__()
        # A layer of several inputs side by side is a sum of layers, each done where its input has fewest rows.
        self.start_to_bond = nn.Linear(width, width, bias=False)
        self.end_to_bond = nn.Linear(width, width, bias=False)
        self.molecule_to_bond = nn.Linear(width, width, bias=False)
        self.bond_to_atom = nn.Linear(width, width, bias=False)
        self.molecule_to_atom = nn.Linear(width, width, bias=False)
        self.atom_to_molecule = nn.Linear(width, width, bias=False)
        self.bond = Update(width, activation, norm, dropout)
        self.atom = Update(width, activation, norm, dropout)
        self.molecule = Update(width, activation, norm, dropout)

    def forward(
        self, bonds: Tensor, atoms: Tensor, molecules: Tensor, edges: Tensor, graph: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        start, end = edges
        first = self.start_to_bond(atoms) + self.molecule_to_bond(molecules).index_select(0, graph)
        bonds = self.bond(bonds, first.index_select(0, start) + self.end_to_bond(atoms).index_select(0, end))
        arrived = torch.zeros_like(atoms).index_add(0, end, bonds)
        atoms = self.atom(
            atoms, self.bond_to_atom(arrived) + self.molecule_to_atom(molecules).index_select(0, graph)
        )
        total = _pooled(atoms, graph, len(molecules))
        return bonds, atoms, self.molecule(molecules, self.atom_to_molecule(total))


def _pooled(atoms: Tensor, graph: Tensor, count: int) -> Tensor:
    """A tenth of the sum of each molecule's atoms: their number counts, and some ten are usual; [count, width]."""
    return atoms.new_zeros(count, atoms.shape[1]).index_add(0, graph, atoms, alpha=0.1)


class GraphNetwork(nn.Module):
    """Molecules of N atoms and E directed bonds in all to logits [G, labels].

    Takes features of atoms [N, len(ATOM)], the atoms that bonds start from and lead to [2, E], features of bonds
    [E, len(BOND)], the molecule of each atom [N] and the number of atoms of each molecule [G], all int64.
    """

    def __init__(
        self,
        width: int,
        rounds: int,
        activation: type[nn.Module] = nn.GELU,
        norm: Norm = nn.LayerNorm,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.atom = Features(tuple(ATOM.values()), width)
        self.bond = Features(tuple(BOND.values()), width)
        self.rounds = nn.ModuleList(Round(width, activation, norm, dropout) for _ in range(rounds))
        self.norm = norm(width)
        self.head = nn.Linear(width, BANDS * len(PROPERTIES))

    def forward(self, atoms: Tensor, edges: Tensor, bonds: Tensor, graph: Tensor, counts: Tensor) -> Tensor:
        x, y = self.atom(atoms), self.bond(bonds)
        z = _pooled(x, graph, len(counts))
        for layer in self.rounds:
            y, x, z = layer(y, x, z, edges, graph)
        return self.head(self.norm(z))


def collate(arrays: Arrays, index: np.ndarray) -> Batch:
    """The molecules one behind another, as GraphNetwork takes them; targets [G, labels] float32, NaN if missing.

    Each bond is there twice, once in each direction.
    """
    counts = arrays["counts"][index].astype(np.int64)
    atoms, bonds = arrays["atoms"][index], arrays["bonds"][index]
    number = counts[:, 0]
    graph = np.repeat(np.arange(len(index)), number)
    atoms = atoms[np.arange(atoms.shape[1]) < number[:, None]]
    there = np.arange(bonds.shape[1]) < counts[:, 1:]
    bonds = bonds[there].astype(np.int64)
    ends = bonds[:, :2] + np.repeat(number.cumsum() - number, counts[:, 1])[:, None]
    edges = np.concatenate([ends, ends[:, ::-1]]).T
    inputs = (
        atoms.astype(np.int64),
        np.ascontiguousarray(edges),
        np.concatenate([bonds, bonds])[:, 2:],
        graph,
        number,
    )
    labels = arrays["labels"][index].astype(np.float32)
    labels[labels == 255] = np.nan
    return Batch(tuple(map(torch.from_numpy, inputs)), torch.from_numpy(labels), torch.from_numpy(index))


MINI = Workload(
    name="molecules_gnn",
    suite="mini",
    task="molecular property prediction",
    dataset=MOLECULES,
    model=partial(GraphNetwork, width=64, rounds=2),
    loss=binary_cross_entropy,
    loss_kind=LossKind.BINARY_CROSS_ENTROPY,
    metric=MEAN_AVERAGE_PRECISION,
    collate=collate,
    batch_size=32,
    step_hint=1000,
    eval_batch_size=250,
    validation_examples=1500,
    heads=("head.weight", "head.bias"),
    algoperf=("ogbg",),
)
SMOKE = replace(
    MINI,
    suite="smoke",
    model=partial(GraphNetwork, width=32, rounds=2),
    batch_size=32,
    step_hint=60,
    evaluations=5,
    train_examples=2000,
    validation_examples=200,
    test_examples=200,
)
BASE = replace(
    MINI,
    suite="base",
    precision=Precision.TF32,
    model=partial(GraphNetwork, width=128, rounds=6, dropout=0.1),
    step_hint=12000,
    validation_examples=None,
)
WORKLOADS = (SMOKE, MINI, BASE)

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "silu": {"activation": nn.SiLU},
    "batch_norm": {"norm": nn.BatchNorm1d},
}

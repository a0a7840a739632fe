"""What a submission may use where a trial has several devices: its rank among them, and what the others hold.

    from submissions import ranks

Most need none of it. Every rank runs the same code with the same random numbers on the same weights;
`training.loss` is the loss of the whole batch, and gradients are those of the whole batch wherever they come from:
`backward`, twice a step, in a closure, by `torch.autograd.grad`, with `create_graph`. On one device all of this is
there too, for a rank that is alone.

The ranks must make the same calls in the same order: each of these waits for the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

MEANING = 1  # raised when results change: see submissions/environment.py

_APART = [False]


def rank() -> int:
    """The number of this rank, from 0 up."""
    return distributed.get_rank() if _several() else 0


def count() -> int:
    """How many ranks the trial has."""
    return distributed.get_world_size() if _several() else 1


def total(tensor: Tensor) -> Tensor:
    """The sum over all ranks of a tensor that has the same shape on each; no gradient passes through it."""
    found = tensor.detach().clone()
    if _several():
        distributed.all_reduce(found)
    return found


def mean(tensor: Tensor) -> Tensor:
    """The mean over all ranks of a tensor that has the same shape on each; no gradient passes through it."""
    return total(tensor) / count()


def gathered(rows: Tensor) -> Tensor:
    """The values of all examples of a batch in its order, [examples, ...], from those of this rank's examples."""
    if not _several():
        return rows.detach()
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(count())]
    distributed.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    longest = max(map(int, sizes))
    padded = rows.new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    # Rank r has examples r, r + count, ...: the first of each rank, then the second of each.
    return torch.stack(parts, dim=1).flatten(0, 1)[: sum(map(int, sizes))]


@contextmanager
def apart() -> Iterator[None]:
    """While the context lasts, losses and gradients are those of this rank's own part of the batch."""
    _APART[0] = True
    try:
        yield
    finally:
        _APART[0] = False


def together() -> bool:
    """Whether losses and gradients are those of the whole batch, as they are but for `apart`."""
    return not _APART[0]


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()

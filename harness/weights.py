"""A model's tensors in one piece of memory that the referee and the player share.

Each side has a model of its own, built by its own code, whose parameters and buffers lie in the memory one behind
another. Each rank of a trial over several devices has a piece of its own.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from harness import shared

_ALIGNMENT = 64
"""Bytes to whose multiple each tensor is moved up: a cache line, and the widest vector."""


class Weights:
    """The weights of a trial: those that each rank trains, and `judged`, a model with those that count."""

    def __init__(self, model: nn.Module, ranks: int) -> None:
        """Lays the model's tensors, and copies of them for all ranks but the first, into shared memory."""
        self._models = [model, *(copy.deepcopy(model) for _ in range(ranks - 1))]
        self.judged = model if ranks == 1 else copy.deepcopy(model)
        shared_out = [share(each) for each in self._models]
        self.memories = [memory for memory, _ in shared_out]
        self.held = [held for _, held in shared_out]
        self.judged_memory: int | None = None if ranks == 1 else share(self.judged)[0]

    @property
    def nbytes(self) -> int:
        """Bytes of one rank's."""
        return self.held[0].nbytes

    def close(self) -> None:
        """Closes the files behind the memory, which stays; others who were given them keep it too."""
        for memory in (*self.memories, self.judged_memory):
            if memory is not None:
                os.close(memory)
        self.memories, self.judged_memory = [], None

    def gather(self) -> str | None:
        """Makes `judged` what the ranks have: the parameters of any, and of statistics the mean over them all.

        Returns the name of a parameter that is not the same bit for bit on all ranks, None where they agree.
        """
        if self.judged is self._models[0]:
            return None
        for name, *copies in _alike(nn.Module.named_parameters, self._models):
            if any(not _same(copies[0], other) for other in copies):
                return name
        with torch.no_grad():
            for mine, first in zip(self.judged.parameters(), self._models[0].parameters(), strict=True):
                mine.copy_(first)
            own = dict(self.judged.named_buffers())
            for name, *copies in _alike(nn.Module.named_buffers, self._models):
                mean = copies[0].is_floating_point() and any(not _same(copies[0], other) for other in copies)
                own[name].copy_(torch.stack(copies).mean(dim=0) if mean else copies[0])
        return None


def share(model: nn.Module) -> tuple[int, Tensor]:
    """Moves a model's tensors into new shared memory.

    Returns its file descriptor, which is the caller's to close, and all of it as bytes: uint8 of shape [bytes].
    """
    size = sum(_room(tensor) for tensor in _tensors(model)) or _ALIGNMENT
    descriptor = shared.create(size)
    return descriptor, _lay(model, descriptor, fill=True)


def adopt(model: nn.Module, descriptor: int) -> None:
    """Gives a model the tensors of one like it that was `share`d; the descriptor is closed."""
    _lay(model, descriptor, fill=False)
    os.close(descriptor)


def _lay(model: nn.Module, descriptor: int, *, fill: bool) -> Tensor:
    piece = torch.frombuffer(shared.attach(descriptor), dtype=torch.uint8)
    start = 0
    for tensor in _tensors(model):
        place = piece[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        if fill:
            place.copy_(tensor.detach())
        tensor.data = place
        start += _room(tensor)
    return piece


def _alike(named: Callable[[nn.Module], Iterator[tuple[str, Tensor]]], models: list[nn.Module]) -> Iterator[Any]:
    """For each name its tensors in all models: (name, tensor, ...)."""
    for found in zip(*map(named, models), strict=True):
        yield found[0][0], *(tensor for _, tensor in found)


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bits, which those that are no numbers may do, too."""
    return torch.equal(one.detach().view(-1).view(torch.uint8), other.detach().view(-1).view(torch.uint8))


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT

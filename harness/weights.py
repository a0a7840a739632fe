"""A model's tensors in one piece of memory that the referee and the player share.

Each side has a model of its own, built by its own code, whose parameters and buffers lie in the memory one behind
another.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from harness import shared

_ALIGNMENT = 64
"""Bytes to whose multiple each tensor is moved up: a cache line, and the widest vector."""


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


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT

"""A model's tensors in one piece of memory that the referee and the player share.

The piece is sealed: nobody can make it shorter under the other's feet. Each side has a model of its own, built by
its own code, whose parameters and buffers lie in the piece one behind another.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import tempfile

import torch
from torch import Tensor, nn

_ALIGNMENT = 64
"""Bytes to whose multiple each tensor is moved up: a cache line, and the widest vector."""


def share(model: nn.Module) -> tuple[int, Tensor]:
    """Moves a model's tensors into new shared memory.

    Returns its file descriptor, which is the caller's to close, and all of it as bytes: uint8 of shape [bytes].
    """
    size = sum(_room(tensor) for tensor in _tensors(model)) or _ALIGNMENT
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    with contextlib.suppress(AttributeError):  # seals are Linux's
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor, _lay(model, descriptor, fill=True)


def adopt(model: nn.Module, descriptor: int) -> None:
    """Gives a model the tensors of one like it that was `share`d; the descriptor is closed."""
    _lay(model, descriptor, fill=False)
    os.close(descriptor)


def _lay(model: nn.Module, descriptor: int, *, fill: bool) -> Tensor:
    piece = torch.frombuffer(mmap.mmap(descriptor, os.fstat(descriptor).st_size), dtype=torch.uint8)
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

"""Pieces of memory that hold weights and are shared by two processes: of the machine, or of one of its GPUs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness import cuda, shared

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """`tensor` is all of it as bytes, uint8 of shape [bytes], on its device.

    Another process finds it by `handle`, hexadecimal, where it is a GPU's, and else by the open file
    `descriptor`.
    """

    tensor: Tensor
    descriptor: int | None = None
    handle: str = ""

    @classmethod
    def create(cls, size: int, device: torch.device = _CPU) -> Piece:
        """A new one of that many bytes, zeros."""
        if device.type == "cuda":
            tensor, handle = cuda.allocate(size, device)
            return cls(tensor=tensor, handle=handle.hex())
        descriptor = shared.create(size)
        return cls(tensor=_mapped(descriptor), descriptor=descriptor)

    @property
    def files(self) -> list[int]:
        """The open files that another process needs to find it."""
        return [] if self.descriptor is None else [self.descriptor]

    def write(self, data: bytes) -> None:
        """Makes these its bytes."""
        self.tensor.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))

    def read(self) -> bytes:
        """Its bytes."""
        return self.tensor.cpu().numpy().tobytes()

    def close(self) -> None:
        """Closes its file, whose memory stays with those who have found it, or gives a GPU's memory back."""
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
        else:
            cuda.free(self.tensor)


def find(size: int, handle: str, files: Sequence[int], device: torch.device = _CPU) -> Tensor:
    """The bytes of a piece of another process; `files` are closed."""
    if handle:
        return cuda.find(size, bytes.fromhex(handle), device)
    (descriptor,) = files
    tensor = _mapped(descriptor)
    os.close(descriptor)
    return tensor


def _mapped(descriptor: int) -> Tensor:
    return torch.frombuffer(shared.attach(descriptor), dtype=torch.uint8)

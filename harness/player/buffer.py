"""Memory that holds weights and is shared by two processes: of the machine, or of one of its GPUs."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.player import cuda, shared

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class SharedBuffer:
    """`tensor` is the whole memory as bytes, uint8 of shape [bytes], on its device.

    Another process maps it from the open file `descriptor`.
    """

    tensor: Tensor
    descriptor: int

    @classmethod
    def create(cls, size: int, device: torch.device = _CPU) -> SharedBuffer:
        """A new buffer of that many bytes, zeros."""
        if device.type == "cuda":
            tensor, descriptor = cuda.allocate(size, device)
        else:
            descriptor = shared.create(size)
            tensor = _mapped(descriptor)
        return cls(tensor=tensor, descriptor=descriptor)

    def write(self, data: bytes) -> None:
        """Replaces all its bytes."""
        self.tensor.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))

    def read(self) -> bytes:
        """Its bytes."""
        return self.tensor.cpu().numpy().tobytes()

    def close(self) -> None:
        """Closes its file, whose memory stays with the processes that have mapped it; a GPU's is freed here."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        if self.tensor.is_cuda:
            cuda.free(self.tensor)


def attach(size: int, descriptor: int, device: torch.device = _CPU) -> Tensor:
    """The bytes of another process's buffer, by its file, which is closed."""
    tensor = cuda.attach(size, descriptor, device) if device.type == "cuda" else _mapped(descriptor)
    os.close(descriptor)
    return tensor


def _mapped(descriptor: int) -> Tensor:
    return torch.frombuffer(shared.attach(descriptor), dtype=torch.uint8)

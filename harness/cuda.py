"""Memory of a GPU that processes share, by calls of CUDA itself: torch shares tensors by way of files in /dev/shm,
which a player has not.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

_HANDLE_BYTES = 64  # of driver_types.h, as the next one
_LAZY_PEER_ACCESS = 1


class CudaError(RuntimeError):
    """A call of CUDA failed."""


class _Handle(ctypes.Structure):
    _fields_ = (("reserved", ctypes.c_ubyte * _HANDLE_BYTES),)


class _Bytes:
    """Memory of a GPU, as torch takes it up."""

    def __init__(self, pointer: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,), "typestr": "|u1", "data": (pointer, False), "version": 3,
        }  # fmt: skip


def allocate(size: int, device: torch.device) -> tuple[Tensor, bytes]:
    """New bytes on a GPU, zeros, and the handle by which another process finds them. Raises CudaError."""
    pointer, handle = ctypes.c_void_p(), _Handle()
    with torch.cuda.device(device):
        _call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(size))
        _call("cudaMemset", pointer, 0, ctypes.c_size_t(size))
        _call("cudaIpcGetMemHandle", ctypes.byref(handle), pointer)
        return _tensor(pointer, size, device), bytes(handle.reserved)


def find(size: int, handle: bytes, device: torch.device) -> Tensor:
    """The bytes of another process that has given the handle. Raises CudaError."""
    pointer = ctypes.c_void_p()
    with torch.cuda.device(device):
        known = _Handle.from_buffer_copy(handle)
        _call("cudaIpcOpenMemHandle", ctypes.byref(pointer), known, ctypes.c_uint(_LAZY_PEER_ACCESS))
        return _tensor(pointer, size, device)


def free(tensor: Tensor) -> None:
    """Gives memory back that was allocated here."""
    with torch.cuda.device(tensor.device):
        torch.cuda.synchronize()
        _call("cudaFree", ctypes.c_void_p(tensor.data_ptr()))


def _tensor(pointer: ctypes.c_void_p, size: int, device: torch.device) -> Tensor:
    assert pointer.value is not None
    return torch.as_tensor(_Bytes(pointer.value, size), device=device)


def _call(name: str, *arguments: object) -> None:
    torch.cuda.init()
    # Loaded by torch already, under this name.
    runtime = ctypes.CDLL(f"libcudart.so.{str(torch.version.cuda).partition('.')[0]}")
    code = getattr(runtime, name)(*arguments)
    if code != 0:
        runtime.cudaGetErrorString.restype = ctypes.c_char_p
        said = runtime.cudaGetErrorString(code).decode()
        kind = "out of memory" if "out of memory" in said else said
        raise CudaError(f"{name}: CUDA error {code}, {kind}")

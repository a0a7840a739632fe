"""Memory of a GPU that processes share by an open file, as they share that of the machine.

By CUDA's virtual memory management, whose open files can be sent to a player in its sandbox. torch's own way keeps
counts in files of /dev/shm, which a player cannot open.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class CudaError(RuntimeError):
    """A call of CUDA failed."""


class _Bytes:
    """Memory of a GPU, as torch makes a tensor of it."""

    def __init__(self, pointer: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,), "typestr": "|u1", "data": (pointer, False), "version": 3,
        }  # fmt: skip


def allocate(size: int, device: torch.device) -> tuple[Tensor, int]:
    """New bytes on a GPU, zeros, and the open file from which another process maps them, the caller's to close.

    Raises CudaError, and torch.OutOfMemoryError.
    """
    with _current(device):
        handle = _call("cuMemCreate", _room(size, device), _kind(device), 0)
        file = _call("cuMemExportToShareableHandle", handle, _kind(device).requestedHandleTypes, 0)
        return _mapped(handle, size, device).zero_(), int(file)


def attach(size: int, file: int, device: torch.device) -> Tensor:
    """The bytes of another process that has sent this open file, which stays open. Raises CudaError."""
    with _current(device):
        handle = _call("cuMemImportFromShareableHandle", file, _kind(device).requestedHandleTypes)
        return _mapped(handle, size, device)


def free(tensor: Tensor) -> None:
    """Unmaps memory that was allocated here; it is free once no other process has it mapped."""
    driver = _driver()
    with _current(tensor.device):
        pointer, room = driver.CUdeviceptr(tensor.data_ptr()), _room(tensor.nbytes, tensor.device)
        _call("cuMemUnmap", pointer, room)
        _call("cuMemAddressFree", pointer, room)


def _mapped(handle: Any, size: int, device: torch.device) -> Tensor:
    """The memory of a handle, which is released: the memory stays as long as a process has it mapped."""
    driver, room = _driver(), _room(size, device)
    access = driver.CUmemAccessDesc()
    access.location = _kind(device).location
    access.flags = driver.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
    pointer = _call("cuMemAddressReserve", room, 0, driver.CUdeviceptr(0), 0)
    _call("cuMemMap", pointer, room, 0, handle, 0)
    _call("cuMemSetAccess", pointer, room, [access], 1)
    _call("cuMemRelease", handle)
    return torch.as_tensor(_Bytes(int(pointer), size), device=device)


def _kind(device: torch.device) -> Any:
    driver = _driver()
    kind = driver.CUmemAllocationProp()
    kind.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    kind.requestedHandleTypes = driver.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
    kind.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    kind.location.id = device.index or 0
    return kind


def _room(size: int, device: torch.device) -> int:
    """So many bytes rounded up to a multiple of the GPU's pages."""
    smallest = _driver().CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_MINIMUM
    page = _call("cuMemGetAllocationGranularity", _kind(device), smallest)
    return -(-size // page) * page


def _current(device: torch.device) -> torch.cuda.device:
    """A context manager in which this thread's calls of CUDA go to this GPU, which has finished its work."""
    torch.cuda.synchronize(device)  # which starts CUDA, too
    return torch.cuda.device(device)


def _driver() -> Any:
    # It comes with those builds of torch that have CUDA.
    from cuda.bindings import driver  # pyright: ignore[reportMissingImports]

    return driver


def _call(name: str, *arguments: object) -> Any:
    driver = _driver()
    code, *results = getattr(driver, name)(*arguments)
    if code == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise torch.OutOfMemoryError(f"{name}: the GPU has no memory left")
    if code != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"{name}: {code.name}")
    return results[0] if results else None

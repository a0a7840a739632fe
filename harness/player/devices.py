"""What a trial's devices do in the same way for every submission: number formats, compiled code, out of memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from workloads.base import Precision


def of(gpu: str | None) -> torch.device:
    """The device of a process that has this GPU, and sees no other, or None."""
    return torch.device("cpu" if gpu is None else "cuda:0")


def settled(device: torch.device) -> None:
    """Waits until a device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


OUT_OF_MEMORY = "OutOfMemory"
"""The kind of a failure for want of memory, on whatever device."""


def set_products(precision: Precision) -> None:
    """Sets the number format of this process's matrix products, where a device has several."""
    exact = "tf32" if precision is Precision.TF32 else "ieee"
    cudnn: Any = torch.backends.cudnn  # whose parts lack types
    for kind in (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn):
        kind.fp32_precision = exact
    # cuDNN plans its attention anew for every length of a sequence: ten times the step, where lengths vary.
    torch.backends.cuda.enable_cudnn_sdp(False)


def lower(model: nn.Module, precision: Precision, device: torch.device) -> None:
    """Has a model, and copies of it, compute in a workload's number format; weights and outputs stay float32."""
    if precision is not Precision.BF16:
        return
    running: list[torch.autocast] = []

    def enter(*_: object) -> None:
        running.append(torch.autocast(device.type, torch.bfloat16))
        running[-1].__enter__()

    def leave(_module: nn.Module, _inputs: object, outputs: object) -> object:
        running.pop().__exit__(None, None, None)
        return _float32(outputs)

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)


def compile_forward(model: nn.Module) -> None:
    """Has a model, and copies of it, run its forward by `torch.compile`; what is hooked on it is not compiled.

    It is compiled when it is first called. Gradients of gradients do not pass through it.
    """
    plain = type(model)
    model.__class__ = type(plain.__name__, (plain,), {"forward": torch.compile(plain.forward)})


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is for want of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


_NO_MEMORY = ("DefaultCPUAllocator", "CUDA error: out of memory")


def _float32(outputs: object) -> object:
    if isinstance(outputs, tuple):
        return tuple(map(_float32, outputs))
    if isinstance(outputs, Tensor) and outputs.dtype is torch.bfloat16:
        return outputs.float()
    return outputs

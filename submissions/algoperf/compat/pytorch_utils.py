"""The module `algoperf.pytorch_utils`, for one process on one device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

MEANING = 1  # raised when results change: see submissions/environment.py


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(whether DistributedDataParallel is used, rank, device, number of GPUs)."""
    # The default device is the trial's; a submission is never told of others.
    device = torch.get_default_device()
    return False, 0, device, int(device.type == "cuda")


def pytorch_init(use_pytorch_ddp: bool, rank: int, profiler: Any) -> None:
    """Nothing: the player's process is set up already."""


def sync_ddp_time(time: float, device: torch.device) -> float:
    """The time itself: there is no other process to agree with."""
    return time


def update_batch_norm_fn(module: nn.Module, update_batch_norm: bool) -> None:
    """Lets a BatchNorm layer follow its batches' statistics, or keep its running ones; for `model.apply`."""
    if not isinstance(module, _BatchNorm):
        return
    if not hasattr(module, "momentum_backup"):
        module.momentum_backup = module.momentum  # pyright: ignore[reportArgumentType]
    module.momentum = module.momentum_backup if update_batch_norm else 0.0  # pyright: ignore[reportAttributeAccessIssue]

"""A model's tensors in one buffer that the referee and the player share.

Each side has a model of its own, built by its own code, whose parameters and buffers lie in the memory one behind
another. Each rank of a trial over several devices has a buffer of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from harness.player.buffer import SharedBuffer

_ALIGNMENT = 64
"""Bytes to whose multiple each tensor is moved up: a cache line, and the widest vector."""


Storage = tuple[int, torch.Size, torch.dtype]
"""Where a tensor lies in memory, its shape and its dtype."""


class Weights:
    """The weights of a trial: those that each rank trains, and `judged`, a model with those that count."""

    def __init__(self, model: nn.Module, devices: Sequence[torch.device]) -> None:
        """Lays the model's tensors, and copies of them, into memory shared with a player on each device."""
        ranks = len(devices)
        self._models = [model.to(devices[0]), *(copy.deepcopy(model).to(device) for device in devices[1:])]
        # A GPU may still have work of a player that stands still: what it does is done to that player's weights.
        self._apart = ranks > 1 or devices[0].type != "cpu"
        self.judged = copy.deepcopy(model) if self._apart else model
        for module in self.judged.modules() if self._apart else ():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # as cuDNN wants them
        self.buffers = [share(each) for each in self._models]
        self.judged_buffer: SharedBuffer | None = None
        if ranks > 1 and devices[0].type == "cpu":
            self.judged_buffer = share(self.judged)

    @property
    def held(self) -> list[Tensor]:
        """Each rank's as bytes: uint8 of shape [bytes]."""
        return [buffer.tensor for buffer in self.buffers]

    @property
    def nbytes(self) -> int:
        """Bytes of one rank's."""
        return self.buffers[0].tensor.nbytes

    @property
    def device(self) -> torch.device:
        """Where those that count lie."""
        return self.buffers[0].tensor.device

    def close(self) -> None:
        """Closes the files behind the memory, which stays, here and in the processes that have mapped it."""
        for buffer in (*self.buffers, self.judged_buffer):
            if buffer is not None:
                buffer.close()

    def gather(self) -> str | None:
        """Makes `judged` what the ranks have: the parameters of any, and of statistics the mean over them all.

        Returns the name of a parameter that is not the same bit for bit on all ranks, None where they agree.
        """
        if not self._apart:
            return None
        for name, copies in _alike(nn.Module.named_parameters, self._models):
            if any(not _same(copies[0], other) for other in copies):
                return name
        with torch.no_grad():
            for mine, first in zip(self.judged.parameters(), self._models[0].parameters(), strict=True):
                mine.copy_(first)
            own = dict(self.judged.named_buffers())
            for name, copies in _alike(nn.Module.named_buffers, self._models):
                mean = copies[0].is_floating_point() and any(not _same(copies[0], other) for other in copies)
                here = [each.to(copies[0].device) for each in copies]
                own[name].copy_(torch.stack(here).mean(dim=0) if mean else copies[0])
        return None


def share(model: nn.Module) -> SharedBuffer:
    """Moves a model's tensors into new shared memory on their device; that is the caller's to close."""
    tensors = _tensors(model)
    device = tensors[0].device if tensors else torch.device("cpu")
    buffer = SharedBuffer.create(size_of(model), device)
    _lay(model, buffer.tensor, fill=True)
    return buffer


def adopt(model: nn.Module, memory: Tensor) -> None:
    """Gives a model the tensors of one like it that was `share`d, from all of that buffer as bytes."""
    _lay(model, memory, fill=False)


def size_of(model: nn.Module) -> int:
    """Bytes of the memory that holds a model's tensors."""
    return sum(_room(tensor) for tensor in _tensors(model)) or _ALIGNMENT


def storages(model: nn.Module) -> dict[str, Storage]:
    """Where each parameter and buffer lies in memory, with its shape and dtype."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: (tensor.data_ptr(), tensor.shape, tensor.dtype) for name, tensor in tensors}


def check_storages(model: nn.Module, before: Mapping[str, Storage]) -> None:
    """Raises RuntimeError where the model's tensors are no longer those that the referee evaluates."""
    now = storages(model)
    if now == before:
        return
    changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    raise RuntimeError(
        f"{len(changed)} tensors of the model were replaced, renamed or reshaped ({', '.join(changed[:3])} ...), "
        "so what is evaluated would not be what was trained; change them in place, as in p.data.copy_(new)"
    )


def _lay(model: nn.Module, memory: Tensor, *, fill: bool) -> None:
    start = 0
    for tensor in _tensors(model):
        view = memory[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        if fill:
            view.copy_(tensor.detach())
        tensor.data = view
        start += _room(tensor)


def _alike(
    named: Callable[[nn.Module], Iterator[tuple[str, Tensor]]], models: list[nn.Module]
) -> Iterator[tuple[str, list[Tensor]]]:
    """For each name its tensors in all models."""
    for alike in zip(*map(named, models), strict=True):
        yield alike[0][0], [tensor for _, tensor in alike]


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bits, as NaNs may."""
    bits = [tensor.detach().reshape(-1).view(torch.uint8).to(one.device) for tensor in (one, other)]
    return torch.equal(*bits)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT

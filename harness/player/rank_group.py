"""The ranks of a trial over several devices, as a player sees them: many processes that train as one.

Each rank has a part of every batch, and otherwise does what the others do. Two functions make them one: the model's
parameters go through one whose gradient is the mean over the ranks, and the loss through one that is the sum over
them. Both have derivatives of any order, so that closures, several passes, `torch.autograd.grad` and gradients of
gradients come out as they would on one device.

Before the exchange a rank's gradient is `count` times its part of the whole one. The mean over ranks is then right
for the loss of the whole batch, for what is the same on all ranks (a penalty on the weights), and, as far as the
ranks' parts are alike, for a mean over its own part that a submission takes by itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from mmap import mmap
from pathlib import Path
from typing import ParamSpec, Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
import psutil
import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.distributed import FileStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from harness.player.channel import WAITING
from submissions import ranks
from workloads.base import LossFunction, LossTerms

_LONGEST = timedelta(days=7)
"""Longer than any trial: no rank gives another one up, since the referee, who sees them all, decides that."""

_Slots = list[tuple[dict[str, Tensor], str]]
"""The dicts of modules, and names in them, under which one parameter stands."""


_P = ParamSpec("_P")


class RankLost(Exception):
    """Another rank is gone, so that this one cannot go on."""


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Where ranks exchange their addresses: a `store`, reached over a network `interface`."""

    store: Store
    interface: str
    port: int | None = None

    @classmethod
    def in_folder(cls, folder: Path, count: int) -> Rendezvous:
        """For ranks on one machine, in a folder that all of them can write."""
        return cls(store=FileStore(str(folder / "ranks"), count), interface="lo")

    @classmethod
    def opened(cls, host: str) -> Rendezvous:
        """At a free `port` of this machine, which the others reach as `host`."""
        store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=_LONGEST)
        return cls(store=store, interface=_towards(host), port=store.port)

    @classmethod
    def joined(cls, host: str, port: int) -> Rendezvous:
        """At a port that another rank has opened."""
        return cls(store=TCPStore(host, port, timeout=_LONGEST), interface=_towards(host))


class RankGroup:
    """This rank's connections to the others, all of whom have joined once it is made. `clock_s` is the submission's
    time that the first rank read after the last step."""

    def __init__(self, rank: int, count: int, rendezvous: Rendezvous, flags: mmap, device: torch.device) -> None:
        self.rank, self.count, self.clock_s = rank, count, 0.0
        self._flags, self._device = flags, device
        os.environ["GLOO_SOCKET_IFNAME"] = rendezvous.interface
        self.wait(
            distributed.init_process_group,
            "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",  # by the device of the tensor
            store=rendezvous.store,
            rank=rank,
            world_size=count,
            timeout=_LONGEST,
            device_id=None if device.type == "cpu" else device,
        )

    def wait(self, exchange: Callable[_P, object], *arguments: _P.args, **options: _P.kwargs) -> None:
        """Exchanges something with the other ranks; raises RankLost where one is gone."""
        self._flags[WAITING] = 1
        try:
            exchange(*arguments, **options)
        except RuntimeError as error:
            raise RankLost(f"another rank is gone ({error})") from None
        self._flags[WAITING] = 0

    def tie(self, model: nn.Module, seed: int) -> RngStream:
        """Has a model, and copies of it, train on the gradients of all ranks.

        What it draws at random in training is this rank's own, and returned; all else stays the same on all ranks.
        """
        rng_stream = RngStream(np.random.SeedSequence([seed, self.rank]), self._device)
        changed: list[tuple[list[_Slots], tuple[Tensor, ...]] | None] = []

        def enter(module: nn.Module, _: object) -> None:
            rng_stream.enter(module.training)
            changed.append(None)
            if torch.is_grad_enabled() and ranks.together():
                slots = [each for each in _parameters(module) if _at(each).requires_grad]
                own = tuple(map(_at, slots))
                changed[-1] = slots, own
                _put(slots, _Exchanged.apply(self, *own))

        def leave(*_: object) -> None:
            if (entered := changed.pop()) is not None:
                _put(*entered)
            rng_stream.leave()

        model.register_forward_pre_hook(enter)
        model.register_forward_hook(leave, always_call=True)
        return rng_stream

    def over_all(self, loss: LossFunction) -> LossFunction:
        """The same loss, whose total and mean are the whole batch's."""
        group = self

        class Terms(LossTerms):
            def total(self) -> tuple[Tensor, Tensor]:
                own = super().total()
                if not ranks.together():
                    return own
                summed, units = _Summed.apply(group, torch.stack(own))
                return summed, units

        return lambda *arguments, **options: Terms(*loss(*arguments, **options))

    def agree(self, due: bool, clock_s: float) -> bool:
        """Whether all ranks stop after this step, as the first one has it; its clock is then everybody's."""
        of_first = torch.tensor([due, clock_s], dtype=torch.float64)
        self.wait(distributed.broadcast, of_first, 0)
        stop, self.clock_s = of_first.tolist()
        return bool(stop)

    def same(self, index: np.ndarray) -> bool:
        """Whether all ranks hold the same row numbers."""
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        self.wait(distributed.all_gather, lengths, torch.tensor([len(index)]))
        if len(set(map(int, lengths))) > 1:
            return False
        own = torch.from_numpy(np.ascontiguousarray(index, np.int64))
        first = own.clone()
        self.wait(distributed.broadcast, first, 0)
        differ = torch.tensor([not torch.equal(own, first)], dtype=torch.int64)
        self.wait(distributed.all_reduce, differ)
        return not differ.item()

    def averaged(self, tensors: Sequence[Tensor], *, apart: bool) -> tuple[Tensor, ...]:
        """The mean of each tensor over the ranks, exchanged as one tensor a dtype: views, or copies if `apart`."""
        means: dict[int, Tensor] = {}
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = {index: tensor for index, tensor in enumerate(tensors) if tensor.dtype == dtype}
            flat = torch.cat([tensor.reshape(-1) for tensor in alike.values()])
            self.wait(distributed.all_reduce, flat)
            flat.div_(self.count)
            slices = flat.split([tensor.numel() for tensor in alike.values()])
            for (index, tensor), piece in zip(alike.items(), slices, strict=True):
                means[index] = (piece.clone() if apart else piece).view(tensor.shape)
        return tuple(means[index] for index in range(len(tensors)))


class RngStream:
    """The random numbers that a model draws in training, a stream of their own."""

    def __init__(self, seed: np.random.SeedSequence, device: torch.device) -> None:
        own = torch.Generator(device).manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        self.state = own.get_state()
        on_gpu = device.type == "cuda"
        self._get = torch.cuda.get_rng_state if on_gpu else torch.get_rng_state
        self._set = torch.cuda.set_rng_state if on_gpu else torch.set_rng_state
        self._depth = 0
        self._outer: Tensor | None = None

    def enter(self, training: bool) -> None:
        """A model begins."""
        if self._depth == 0 and training:
            self._outer = self._get()
            self._set(self.state)
        self._depth += 1

    def leave(self) -> None:
        """A model is done."""
        self._depth -= 1
        if self._depth == 0 and self._outer is not None:
            self.state = self._get()
            self._set(self._outer)
            self._outer = None


class _Context(Protocol):
    """What a function's two passes share."""

    group: RankGroup
    needs_input_grad: tuple[bool, ...]


class _Exchanged(Function):
    """Parameters as they are; their gradients are averaged over the ranks."""

    @staticmethod
    def forward(ctx: _Context, group: RankGroup, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.group = group
        return tuple(tensor.detach() for tensor in tensors)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_Averaged.apply(ctx.group, *gradients)


class _Averaged(Function):
    """Tensors averaged over the ranks; in a backward pass every rank's part counts as a whole one."""

    @staticmethod
    def forward(ctx: _Context, group: RankGroup, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.group = group
        # Pieces of one tensor must not be changed in place while gradients flow through them.
        return group.averaged(tensors, apart=any(ctx.needs_input_grad))

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_Exchanged.apply(ctx.group, *gradients)


class _Summed(Function):
    """A tensor summed over the ranks; a rank's part of the gradient counts as a whole one, `count` times."""

    @staticmethod
    def forward(ctx: _Context, group: RankGroup, tensor: Tensor) -> Tensor:
        ctx.group = group
        summed = tensor.detach().clone()
        group.wait(distributed.all_reduce, summed)
        return summed

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[None, Tensor]:
        (gradient,) = _Exchanged.apply(ctx.group, *gradients)
        return None, ctx.group.count * gradient


_KNOWN: WeakKeyDictionary[nn.Module, list[_Slots]] = WeakKeyDictionary()


def _towards(host: str) -> str:
    """The network interface by which a host is reached."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        any_socket.connect((host, 9))  # which sends nothing
        own = any_socket.getsockname()[0]
    return next(
        name for name, addresses in psutil.net_if_addrs().items() if any(a.address == own for a in addresses)
    )


def _parameters(model: nn.Module) -> list[_Slots]:
    """The slots of each parameter of a model, which do not change in a trial."""
    if (known := _KNOWN.get(model)) is not None:
        return known
    slots: dict[int, _Slots] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                holder = cast(dict[str, Tensor], module._parameters)  # in a pass also what stands for them
                slots.setdefault(id(parameter), []).append((holder, name))
    _KNOWN[model] = list(slots.values())
    return _KNOWN[model]


def _at(slots: _Slots) -> Tensor:
    holder, name = slots[0]
    return holder[name]


def _put(parameters: Sequence[_Slots], tensors: Sequence[Tensor]) -> None:
    for slots, tensor in zip(parameters, tensors, strict=True):
        for holder, name in slots:
            holder[name] = tensor

"""Averages of the weights, judged in place of the weights that train.

Buffers of real numbers are averaged like parameters, so that BatchNorm's statistics go with the averaged weights
and need no pass over data.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

MEANING = 1  # raised when results change: see submissions/environment.py


class Rule(Protocol):
    """Which average: `add` is given the weights after each step, `mean` is what they come to, None before any."""

    def add(self, tensors: Sequence[Tensor]) -> None: ...

    def mean(self) -> Sequence[Tensor] | None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class WeightAverage:
    """The average of a model's weights under a rule, in and out of the model around evaluations."""

    def __init__(self, model: nn.Module, rule: Rule) -> None:
        tensors = [*model.parameters(), *model.buffers()]
        self._tensors = [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
        self._rule = rule
        self._training: list[Tensor] | None = None

    def update(self) -> None:
        """Takes the model's present weights into the average."""
        self._rule.add(self._tensors)

    def swap_in(self) -> None:
        """Puts the average into the model."""
        mean = self._rule.mean()
        if mean is not None:
            self._training = [tensor.clone() for tensor in self._tensors]
            torch._foreach_copy_(self._tensors, list(mean))

    def swap_out(self) -> None:
        """Puts the weights that train back."""
        if self._training is not None:
            torch._foreach_copy_(self._tensors, self._training)
            self._training = None

    def state_dict(self) -> dict[str, Any]:
        return self._rule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rule.load_state_dict(state)


class Running:
    """average += weight(t) (weights - average) after step t = 1, 2, ...; `weight` as `exponential` makes it."""

    def __init__(self, weight: Callable[[int], float]) -> None:
        self._weight = weight
        self._count = 0
        self._mean: list[Tensor] | None = None

    def add(self, tensors: Sequence[Tensor]) -> None:
        self._count += 1
        if self._mean is None:
            self._mean = [tensor.clone() for tensor in tensors]
        else:
            torch._foreach_lerp_(self._mean, list(tensors), self._weight(self._count))

    def mean(self) -> Sequence[Tensor] | None:
        return self._mean

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._count, self._mean = state["count"], state["mean"]


def exponential(decay: float) -> Callable[[int], float]:
    """The weight 1 - decay of an exponential moving average; a plain mean until that many steps were made."""
    return lambda step: max(1.0 - decay, 1.0 / step)


def polynomial(gamma: float) -> Callable[[int], float]:
    """The weight (1 + gamma) / (t + gamma) of polynomial-decay averaging (Shamir and Zhang, arXiv:1212.1824)."""
    return lambda step: (1.0 + gamma) / (step + gamma)


class Latest:
    """The mean of the last `count` snapshots, one taken every `every` steps."""

    def __init__(self, every: int, count: int) -> None:
        self._every = every
        self._step = 0
        self._snapshots: deque[list[Tensor]] = deque(maxlen=count)

    def add(self, tensors: Sequence[Tensor]) -> None:
        self._step += 1
        if self._step % self._every == 0:
            self._snapshots.append([tensor.clone() for tensor in tensors])

    def mean(self) -> Sequence[Tensor] | None:
        if not self._snapshots:
            return None
        total = [tensor.clone() for tensor in self._snapshots[0]]
        for snapshot in list(self._snapshots)[1:]:
            torch._foreach_add_(total, snapshot)
        torch._foreach_div_(total, float(len(self._snapshots)))
        return total

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step, "snapshots": list(self._snapshots)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step = state["step"]
        self._snapshots.clear()
        self._snapshots.extend(state["snapshots"])

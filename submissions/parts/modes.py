"""Optimizers with two modes, whose weights for training are not those to be judged."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from submissions.parts.batch_norm import reestimate, remember_inputs

MEANING = 1  # raised when results change: see submissions/environment.py

_BATCHES_FOR_STATISTICS = 8


class TwoModes(Protocol):
    """An optimizer that has the weights to be judged in mode `eval`, and those that train in mode `train`."""

    def train(self) -> object: ...

    def eval(self) -> object: ...


class ModeAverage:
    """The average that an optimizer keeps itself, behind its methods `train` and `eval` (schedulefree's).

    BatchNorm's statistics are taken anew for it, from the inputs of the last few steps and on the clock, as the
    authors of schedulefree advise.
    """

    def __init__(self, model: nn.Module, optimizer: TwoModes) -> None:
        self._model, self._optimizer = model, optimizer
        self._recent = remember_inputs(model, _BATCHES_FOR_STATISTICS)
        optimizer.train()

    def update(self) -> None:
        """Nothing: the optimizer's steps do it."""

    def swap_in(self) -> None:
        self._optimizer.eval()
        reestimate(self._model, self._recent)

    def swap_out(self) -> None:
        self._optimizer.train()

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self._recent)}  # the optimizer's holds the rest

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.train()
        self._recent.extend(state["recent"])

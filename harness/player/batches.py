"""The training data as a submission sees it: shuffled epochs, and any rows it asks for.

The datasets store examples ready for the model, so that making a batch is one gather. It is made when it is asked
for and not ahead: a trial has one core, and a thread costs the smallest steps more than it hides. `make perf`
prints how much of a step is neither the model's nor the optimizer's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch

from workloads.base import Arrays, Batch, Workload
from workloads.metrics import to_device

_CPU = torch.device("cpu")
_WINDOW = 20
"""Batches among which examples of like length are sought: enough to pad little, few enough to stay random."""


class BatchesState(TypedDict):
    """Where the batches of a trial are: the generator of the next epochs, the order of this one and the place in
    it, and how many examples there were."""

    random: Mapping[str, object]
    order: torch.Tensor
    at: int
    examples: int


class EpochBatches:
    """Batches without replacement from one permutation an epoch; the rest that fills no batch is dropped.

    Where `lengths` are given, each run of `group` examples of the permutation is of like length. The order depends
    on `seed` alone and not on the sizes asked for in earlier epochs. `examples` counts every example returned.

    Each of `ranks` devices has an instance, and all ask for the same. From `next`, rank r gets examples r,
    r + ranks, ... of the batch, so that the parts are of like length; of a batch with fewer examples than ranks,
    each gets the whole. `take` returns all rows asked for, and `shared` this rank's part of them.
    """

    def __init__(
        self,
        arrays: Arrays,
        collate: Callable[[Arrays, np.ndarray], Batch],
        seed: int,
        lengths: np.ndarray | None = None,
        group: int = 1,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._arrays = arrays
        self._collate = collate
        self._random = np.random.default_rng(seed)
        self._lengths, self._group = lengths, group
        self._order = np.empty(0, np.int64)
        self._at = 0
        self._rank, self._ranks = rank, ranks
        self._taken: Batch | None = None
        self.size = len(next(iter(arrays.values())))
        self.examples = 0

    @classmethod
    def of(
        cls,
        workload: Workload,
        arrays: Arrays,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device = _CPU,
    ) -> EpochBatches:
        """The batches of a workload's training split, on a device."""
        lengths = None if workload.lengths is None else workload.lengths(arrays)
        collate = workload.collate
        if device != _CPU:
            collate = lambda arrays, index: to_device(workload.collate(arrays, index), device)  # noqa: E731
        return cls(arrays, collate, seed, lengths, workload.batch_size, rank, ranks)

    def next(self, size: int) -> Batch:
        """The next `size` examples of the epoch. Raises ValueError where an epoch has fewer."""
        if not 1 <= size <= self.size:
            raise ValueError(f"a batch of {size} examples was asked for, expected 1 to {self.size}")
        if self._at + size > len(self._order):
            self._order = self._random.permutation(self.size)
            if self._lengths is not None:
                self._order = _by_length(self._order, self._lengths, self._group, self._random)
            self._at = 0
        index = self._order[self._at : self._at + size]
        self._at += size
        self.examples += size
        return self._part(index)

    def state_dict(self) -> BatchesState:
        """The position in the epochs and the generator of the next ones: plain values and a tensor."""
        random = self._random.bit_generator.state
        return {"random": random, "order": torch.from_numpy(self._order), "at": self._at, "examples": self.examples}

    def load_state_dict(self, state: BatchesState) -> None:
        """Goes on from where `state_dict` was called."""
        self._random.bit_generator.state = state["random"]
        self._order, self._at, self.examples = state["order"].numpy(), state["at"], state["examples"]

    def take(self, index: np.ndarray) -> Batch:
        """The examples of these row numbers, int64 of shape [examples]."""
        self.examples += len(index)
        batch = self._collate(self._arrays, index)
        self._taken = batch if self._ranks > 1 else None
        return batch

    def shared(self, batch: Batch, same: Callable[[np.ndarray], bool]) -> Batch:
        """This rank's part of the batch that was taken last, and any other batch as it is.

        `same` says whether all ranks hold the same row numbers; raises ValueError where they took different rows.
        """
        if batch is not self._taken or self._taken is None:
            return batch
        self._taken = None
        index = batch.index.cpu().numpy()
        if not same(index):
            raise ValueError(
                "the ranks took different rows for one batch, expected the same on all: choose by what all of them "
                "have, as submissions.ranks.gathered gives it"
            )
        return self._part(index)

    def _part(self, index: np.ndarray) -> Batch:
        if self._ranks == 1 or len(index) < self._ranks:
            return self._collate(self._arrays, index)
        return replace(self._collate(self._arrays, index[self._rank :: self._ranks]), whole=len(index))


def _by_length(order: np.ndarray, lengths: np.ndarray, group: int, random: np.random.Generator) -> np.ndarray:
    """The same examples in groups of like length; the groups of each window come in random order."""
    groups = []
    for start in range(0, len(order), _WINDOW * group):
        window = order[start : start + _WINDOW * group]
        window = window[np.argsort(lengths[window], kind="stable")]
        whole = len(window) // group
        groups += [window[: whole * group].reshape(whole, group)[random.permutation(whole)].ravel()]
        groups += [window[whole * group :]]
    return np.concatenate(groups)

"""The training data as a submission sees it: shuffled epochs, and any rows it asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workloads.base import Arrays, Batch


class EpochBatches:
    """Batches without replacement from one permutation an epoch; the rest that fills no batch is dropped.

    The order depends on `seed` alone and not on the sizes asked for in earlier epochs. `examples` counts every
    example handed out.
    """

    def __init__(self, arrays: Arrays, collate: Callable[[Arrays, np.ndarray], Batch], seed: int) -> None:
        self._arrays = arrays
        self._collate = collate
        self._random = np.random.default_rng(seed)
        self._order = np.empty(0, np.int64)
        self._at = 0
        self.size = len(next(iter(arrays.values())))
        self.examples = 0

    def next(self, size: int) -> Batch:
        """The next `size` examples of the epoch. Raises ValueError where an epoch has fewer."""
        if not 1 <= size <= self.size:
            raise ValueError(f"a batch of {size} examples was asked for, expected 1 to {self.size}")
        if self._at + size > len(self._order):
            self._order = self._random.permutation(self.size)
            self._at = 0
        index = self._order[self._at : self._at + size]
        self._at += size
        return self.take(index)

    def take(self, index: np.ndarray) -> Batch:
        """The examples of these row numbers, int64 of shape [examples]."""
        self.examples += len(index)
        return self._collate(self._arrays, index)

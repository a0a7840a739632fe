"""Pairs of sequences as arrays: what the datasets for sequence to sequence store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PAD = 0
"""What fills a source up; no letter has this number."""

END = 0
"""What follows the last letter of a target; no letter has this number."""


def pair_arrays(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], longest: int) -> dict[str, np.ndarray]:
    """Arrays of pairs (source, target), each of 1 to `longest` numbers from 1 to 127.

    `source` [N, longest] int8, filled up with PAD; `target` [N, longest + 1] int8, ended by END, then filled up
    with -1 (no target of the loss); `source_length` and `target_length` [N] int16, END counted.
    """
    source = np.full((len(pairs), longest), PAD, dtype=np.int8)
    target = np.full((len(pairs), longest + 1), -1, dtype=np.int8)
    for row, (given, wanted) in enumerate(pairs):
        source[row, : len(given)] = given
        target[row, : len(wanted) + 1] = [*wanted, END]
    return {
        "source": source,
        "target": target,
        "source_length": (source != PAD).sum(axis=1).astype(np.int16),
        "target_length": (target != -1).sum(axis=1).astype(np.int16),
    }

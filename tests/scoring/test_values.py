"""What all values of scoring have in common."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import is_dataclass

import pytest

import scoring

PACKAGES = ("scoring", "scoring.board", "scoring.claims", "scoring.replay", "scoring.stopping")
MODULES = sorted(
    f"{package}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
    if not module.ispkg and not module.name.startswith(("m", "charts", "export"))
)
VALUES = sorted(
    {
        (value.__module__, value.__name__)
        for name in MODULES
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and is_dataclass(value) and value.__module__.startswith(scoring.__name__)
    }
)


@pytest.mark.parametrize(("module", "name"), VALUES)
def test_values_do_not_change(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name).__dataclass_params__.frozen


def test_all_values_are_looked_at() -> None:
    assert {"Board", "BoardQuery", "Claim", "Effect", "OwnStudy", "Selection", "Times"} <= {
        name for _, name in VALUES
    }

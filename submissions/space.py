"""Hyperparameter search spaces: one domain a hyperparameter, each a map from the unit interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MEANING = 1  # raised when results change: see submissions/environment.py


@runtime_checkable
class Domain(Protocol):
    """The values that one hyperparameter may take."""

    def at(self, u: float) -> object:
        """The value at quantile `u` in [0, 1)."""
        ...

    def __contains__(self, value: object) -> bool: ...


@dataclass(frozen=True)
class Uniform:
    """Real numbers from `low` to `high`, evenly spread."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"Uniform({self.low}, {self.high}): expected low < high")

    def at(self, u: float) -> float:
        return self.low + u * (self.high - self.low)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class LogUniform:
    """Positive numbers from `low` to `high` whose logarithms are evenly spread."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"LogUniform({self.low}, {self.high}): expected 0 < low < high")

    def at(self, u: float) -> float:
        return math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values, each as likely as the others."""

    values: tuple[object, ...]

    def __init__(self, *values: object) -> None:
        if not values:
            raise ValueError("Choice(): expected at least one value")
        object.__setattr__(self, "values", values)

    def at(self, u: float) -> object:
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def __contains__(self, value: object) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Points:
    """A list of whole points, drawn without replacement: a study has at most as many trials as there are."""

    values: tuple[Mapping[str, object], ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a list of no points: expected at least one")
        for value in self.values:
            if value.keys() != self.values[0].keys():
                raise ValueError(
                    f"a list of points with unlike names: {sorted(value)} and {sorted(self.values[0])}"
                )


Space = Mapping[str, Domain] | Points
"""A search space: a domain a hyperparameter, or a list of points."""

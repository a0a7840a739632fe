"""How a cost grows: measured at several sizes, with the exponent of the power law that fits them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A cost at several sizes: `points` are (size, cost), in the units that are named."""

    cost: str
    unit: str
    of: str
    points: tuple[tuple[int, float], ...]

    @property
    def exponent(self) -> float:
        """The slope of log cost over log size by least squares: 1 for a cost in proportion. NaN for fewer than two
        sizes at which there was any cost."""
        known = [(math.log(size), math.log(cost)) for size, cost in self.points if cost > 0]
        if len({size for size, _ in known}) < 2:
            return math.nan
        sizes, costs = np.array(known).T
        return float(np.polyfit(sizes, costs, 1)[0])

    @property
    def last(self) -> tuple[int, float]:
        """The largest size, and the cost there."""
        return self.points[-1]

    def as_text(self) -> str:
        """One line."""
        shown = ", ".join(f"{size:,}: {cost:,.3g}" for size, cost in self.points)
        fits = "" if math.isnan(self.exponent) else f"  grows as {self.of}^{self.exponent:.2f}"
        return f"{self.cost} ({self.unit}) at {shown}{fits}"


def measured(
    cost: str, of: str, sizes: Iterable[int], seconds: Callable[[int], float], *, unit: str = "s"
) -> Growth:
    """The seconds, or what else it measures, of each size in turn."""
    return Growth(cost=cost, unit=unit, of=of, points=tuple((size, seconds(size)) for size in sizes))

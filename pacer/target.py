"""The one comparison of a metric's value with a target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The value of a metric that a trial must reach; `value` is None while no target is set."""

    value: float | None
    higher_is_better: bool

    def met(self, value: float | None) -> bool:
        """Whether a value of the metric is as good or better; never for None or NaN, nor without a target."""
        if value is None or self.value is None:
            return False
        return value >= self.value if self.higher_is_better else value <= self.value

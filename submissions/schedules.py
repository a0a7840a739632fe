"""Learning-rate schedules, as factors on an optimizer's own learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class Decay(LambdaLR):
    """A schedule whose rate is 0 at `horizon` steps: there it has `ended`, and so has the trial."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float], horizon: int) -> None:
        self.horizon = horizon
        super().__init__(optimizer, factor)

    @property
    def ended(self) -> bool:
        return self.last_epoch >= self.horizon


def warmup_cosine(optimizer: Optimizer, horizon: int, warmup: float = 0.05) -> Decay:
    """Linear warm-up over the share `warmup` of `horizon` steps, then half a cosine to 0 at `horizon`."""
    ramp = max(1, round(warmup * horizon))

    def factor(step: int) -> float:
        if step < ramp:
            return (step + 1) / ramp
        progress = min(1.0, (step - ramp) / max(1, horizon - ramp))
        return 0.5 * (1.0 + math.cos(math.pi * progress))

    return Decay(optimizer, factor, horizon)


def constant(optimizer: Optimizer, horizon: int) -> None:
    """The optimizer's own learning rate throughout."""
    return None


SCHEDULES: dict[str, Callable[[Optimizer, int], LambdaLR | None]] = {
    "warmup_cosine": warmup_cosine,
    "constant": constant,
}
"""Schedules that need nothing but the horizon, by the names that the command line takes."""

"""Learning-rate schedules, as factors on an optimizer's own learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, horizon: int, warmup: float = 0.05) -> LambdaLR:
    """Linear warm-up over the share `warmup` of `horizon` steps, then half a cosine to 0 at `horizon`.

    Past the horizon the rate stays at a thousandth of its peak, so that a longer budget still moves the weights.
    """
    ramp = max(1, round(warmup * horizon))

    def factor(step: int) -> float:
        if step < ramp:
            return (step + 1) / ramp
        progress = min(1.0, (step - ramp) / max(1, horizon - ramp))
        return max(1e-3, 0.5 * (1.0 + math.cos(math.pi * progress)))

    return LambdaLR(optimizer, factor)


def constant(optimizer: Optimizer, horizon: int) -> None:
    """The optimizer's own learning rate throughout."""
    return None


SCHEDULES: dict[str, Callable[[Optimizer, int], LambdaLR | None]] = {
    "warmup_cosine": warmup_cosine,
    "constant": constant,
}
"""Schedules that need nothing but the horizon, by the names that the command line takes."""

"""Learning-rate schedules, as factors on an optimizer's own learning rate.

All but `constant` come down to 0 at the horizon, and end the trial there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

MEANING = 1  # raised when results change: see submissions/environment.py


class Decay(LambdaLR):
    """A schedule whose rate is 0 at `horizon` steps: there it has `ended`, and so has the trial."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float], horizon: int) -> None:
        self.horizon = horizon
        super().__init__(optimizer, factor)

    @property
    def ended(self) -> bool:
        return self.last_epoch >= self.horizon


class OneCycle(OneCycleLR):
    """`torch.optim.lr_scheduler.OneCycleLR`, which refuses to go beyond its last step: there it has `ended`."""

    @property
    def ended(self) -> bool:
        return self.last_epoch >= self.total_steps - 1


def warmup_cosine(optimizer: Optimizer, horizon: int, warmup: float = 0.05) -> Decay:
    """Linear warm-up over the share `warmup` of `horizon` steps, then half a cosine to 0 at `horizon`."""
    return _decay(optimizer, horizon, warmup, lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)))


def cosine_power(optimizer: Optimizer, horizon: int, warmup: float = 0.05, power: float = 10.0) -> Decay:
    """Linear warm-up, then cosine power annealing: (power^(c + 1) - power) / (power^2 - power) with c half a cosine
    from 1 to 0 (Hundt et al., 2019, arXiv:1903.09900). A power towards 1 gives the cosine itself."""

    def factor(progress: float) -> float:
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return (power ** (cosine + 1.0) - power) / (power**2 - power)

    return _decay(optimizer, horizon, warmup, factor)


def linear_decay(optimizer: Optimizer, horizon: int, warmup: float = 0.05) -> Decay:
    """Linear warm-up, then a straight line to 0 at `horizon`."""
    return _decay(optimizer, horizon, warmup, lambda progress: 1.0 - progress)


def constant_cooldown(optimizer: Optimizer, horizon: int, warmup: float = 0.05, cooldown: float = 0.2) -> Decay:
    """Linear warm-up, a constant rate, and a straight line to 0 over the last share `cooldown` of `horizon`."""
    return _decay(
        optimizer, horizon, warmup, lambda progress: min(1.0, (1.0 - progress) * (1.0 - warmup) / cooldown)
    )


def one_cycle(optimizer: Optimizer, horizon: int, rise: float = 0.45) -> OneCycle:
    """Straight up to the optimizer's learning rate over the share `rise` of `horizon`, straight down over as much,
    and to 0 in what is left; momentum goes from 0.95 to 0.85 and back (Smith, 2018, arXiv:1803.09820).

    The rate begins at a 25th of the highest, as PyTorch has it.
    """
    momentum = any(key in optimizer.defaults for key in ("momentum", "betas"))
    return OneCycle(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=horizon + 1,
        pct_start=rise,
        anneal_strategy="linear",
        three_phase=True,
        cycle_momentum=momentum,
    )


def constant(optimizer: Optimizer, horizon: int) -> None:
    """The optimizer's own learning rate throughout."""
    return None


def _decay(optimizer: Optimizer, horizon: int, warmup: float, shape: Callable[[float], float]) -> Decay:
    """Linear warm-up, then `shape` of the progress from 0 at its end to 1 at `horizon`."""
    ramp = max(1, round(warmup * horizon))

    def factor(step: int) -> float:
        if step < ramp:
            return (step + 1) / ramp
        return shape(min(1.0, (step - ramp) / max(1, horizon - ramp)))

    return Decay(optimizer, factor, horizon)


SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler | None]] = {
    "warmup_cosine": warmup_cosine,
    "cosine_power": cosine_power,
    "linear_decay": linear_decay,
    "constant_cooldown": constant_cooldown,
    "one_cycle": one_cycle,
    "constant": constant,
}
"""Schedules that need nothing but the horizon, by the names that the command line takes."""

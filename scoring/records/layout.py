"""How a trial is run: how it lies on hardware, and at which horizon and batch size."""

from __future__ import annotations

from dataclasses import dataclass

from pacer.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """So many `devices`, as many on each of `machines`, share every batch; the model is `compiled` or not. The
    workload's horizon is multiplied by `horizon`, counted in examples, and its batch size by `batch`.

    Times compare under the same layout only. Raises UsageError where the devices cannot be shared out evenly, or a
    factor is out of range.
    """

    devices: int = 1
    machines: int = 1
    compiled: bool = False
    horizon: float = 1.0
    batch: float = 1.0

    def __post_init__(self) -> None:
        if self.devices % self.machines:
            enough = -(-self.devices // self.machines) * self.machines
            raise UsageError(
                f"{self.devices} devices cannot be shared out evenly over {self.machines} machines; "
                f"type: DEVICES={enough} MACHINES={self.machines}"
            )

        for name, factor in (("HORIZON", self.horizon), ("BATCH", self.batch)):
            if not is_factor(factor):
                raise UsageError(f"{name}={factor:g}: expected {FACTOR}; type: {name}=2")

    @property
    def each(self) -> int:
        """The devices on each machine."""
        return self.devices // self.machines

    @property
    def settings(self) -> list[str]:
        """What one types for it; nothing for a single device."""
        counts = {"DEVICES": self.devices, "MACHINES": self.machines}
        words = [f"{name}={count}" for name, count in counts.items() if count > 1] + ["COMPILE=1"] * self.compiled
        return words + self.scale

    @property
    def scale(self) -> list[str]:
        """The part of that which changes the workload; nothing where it is as its suite has it. A target that was
        set there holds nowhere else."""
        factors = {"HORIZON": self.horizon, "BATCH": self.batch}
        return [f"{name}={_plainly(factor)}" for name, factor in factors.items() if factor != 1.0]


_MOST = 16.0
FACTOR = f"a number from 1/{_MOST:.0f} to {_MOST:.0f}"
"""What a horizon or a batch size may be multiplied by, in words."""


def is_factor(number: float) -> bool:
    """Whether it may."""
    return 1 / _MOST <= number <= _MOST


def _plainly(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


SINGLE = Layout()
"""One device."""

"""How a trial lies on hardware."""

from __future__ import annotations

from dataclasses import dataclass

from pacer.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """So many `devices`, as many on each of `machines`, share every batch; the model is `compiled` or not.

    Times compare under the same layout only. Raises UsageError where the devices cannot be shared out evenly.
    """

    devices: int = 1
    machines: int = 1
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.devices % self.machines:
            enough = -(-self.devices // self.machines) * self.machines
            raise UsageError(
                f"{self.devices} devices cannot be shared out evenly over {self.machines} machines; "
                f"type: DEVICES={enough} MACHINES={self.machines}"
            )

    @property
    def each(self) -> int:
        """The devices on each machine."""
        return self.devices // self.machines

    @property
    def settings(self) -> list[str]:
        """What one types for it; nothing for a single device."""
        counts = {"DEVICES": self.devices, "MACHINES": self.machines}
        return [f"{name}={count}" for name, count in counts.items() if count > 1] + ["COMPILE=1"] * self.compiled


SINGLE = Layout()
"""One device."""

"""What else ran on a trial's cores while its clock ran: a busy machine makes times longer, which no curve shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.system.machine import Device, core_worked_s


class CoreContention:
    """Measures what the cores of a trial did for others, between `clock_runs` and `clock_stands`."""

    def __init__(self, devices: Sequence[Device], own_s: Callable[[], float]) -> None:
        """`own_s` gives the seconds of these devices' cores that the trial's players have used; this process's are
        added."""
        self._cores = [device.core for device in devices if device.core is not None]
        self._own_s = own_s
        self._taken_s = 0.0
        self._from: float | None = None
        self._known = False

    @property
    def taken_s(self) -> float | None:
        """Seconds that each core, on average, worked for others; None where that cannot be known, as on a GPU."""
        return max(0.0, self._taken_s) if self._known else None

    def resume(self, taken_s: float | None) -> None:
        """Adds what others took from the trial before it was interrupted."""
        self._taken_s += taken_s or 0.0

    def clock_runs(self) -> None:
        """The clock runs from now on."""
        self._from = self._others_s()

    def clock_stands(self) -> None:
        """The clock stands from now on."""
        now = self._others_s()
        if now is not None and self._from is not None:
            self._taken_s += now - self._from  # a tick too much in one stretch is one too little in another
            self._known = True
        self._from = None

    def _others_s(self) -> float | None:
        worked = [core_worked_s(core) for core in self._cores]
        if not worked or None in worked:
            return None
        own = self._own_s() + time.process_time()
        return (sum(seconds for seconds in worked if seconds is not None) - own) / len(worked)

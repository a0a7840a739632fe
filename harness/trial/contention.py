"""What else ran on a trial's cores while its clock ran, and what of that comes off the clock.

A stretch of the clock is relieved of what a core worked for others in it, as far as a player on that core could
have gone on meanwhile and waited. While a player sleeps or waits for a disk it waits for no core, and while its
threads wait for each other the core works for no others: both stay on the clock, which never shows less than the
processor time that a player has used. Of several players, all wait for the one that waits most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.system import processes
from harness.system.machine import CoreTime, Device, core_time
from harness.system.processes import CoreUse

_CARRIED_S = 0.05
"""What the system's ticks of 10 ms, of a few kinds of work each, may make a stretch look longer or shorter by."""

Uses = Sequence[CoreUse | None]
"""What each player of a trial had of this machine's cores so far, None for one on another machine."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """At a moment: what the cores did, and what the player on each, and this process on the first, had of it."""

    moment: float
    cores: Sequence[CoreTime]
    uses: Sequence[CoreUse]
    own: CoreUse
    all_here: bool

    @property
    def tells_waits(self) -> bool:
        """Whether it tells of all players of the trial how long they waited."""
        return self.all_here and all(use.waited_s is not None for use in (*self.uses, self.own))


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What a stretch was on one core: what it worked for others, on other hardware threads too; and what its player
    worked, and could have worked and did not."""

    others_s: float
    beside_s: float
    worked_s: float
    waited_s: float


class CoreContention:
    """Measures what the cores of a trial did for others, between `clock_runs` and `clock_stands`."""

    def __init__(
        self, devices: Sequence[Device], uses: Callable[[], Uses], now: Callable[[], float] = time.perf_counter
    ) -> None:
        """The first players of `uses` run on these devices, in this order; this process is on the first of them."""
        self._cores = [device.core for device in devices if device.core is not None]
        self._on_cores = len(self._cores) == len(devices) > 0
        self._uses, self._now = uses, now
        self._taken_s = 0.0
        self._from: _Reading | None = None
        self._carried_s = [0.0] * len(self._cores)
        self._knows_taken = self._knows_waits = False

    @property
    def taken_s(self) -> float | None:
        """Seconds that each core, on average, worked for others; None where that cannot be known, as on a GPU."""
        return max(0.0, self._taken_s) if self._knows_taken else None

    @property
    def relieves(self) -> bool:
        """Whether the system tells what is to come off the clock; where it does not, that is the wall's."""
        return self._knows_waits

    def resume(self, taken_s: float | None) -> None:
        """Adds what others took from the trial before it was interrupted."""
        self._taken_s += taken_s or 0.0

    def clock_runs(self) -> None:
        """A stretch begins; one that has not ended counts for nothing."""
        self._from = self._read()

    def relief_s(self) -> float:
        """Seconds of the stretch that are not the submission's, as far as they are known by now."""
        now = self._read()
        if now is None or self._from is None or not now.tells_waits:
            return 0.0
        return max(0.0, *self._reliefs(self._from, now))

    def clock_stands(self) -> float:
        """The stretch ends; returns the seconds of it that are not the submission's. None are where none began."""
        before, self._from, now = self._from, None, self._read()
        if before is None or now is None:
            return 0.0
        shares = _shares(before, now)
        # A tick too much in one stretch is one too little in another.
        self._taken_s += sum(share.others_s + share.beside_s for share in shares) / len(shares)
        self._knows_taken = True
        if not now.tells_waits:
            return 0.0
        self._knows_waits = True
        reliefs = self._reliefs(before, now)
        for core, (share, relief_s) in enumerate(zip(shares, reliefs, strict=True)):
            rest_s = self._carried_s[core] + share.others_s - relief_s
            self._carried_s[core] = min(max(rest_s, -_CARRIED_S), _CARRIED_S)
        return max(0.0, *reliefs)

    def _reliefs(self, before: _Reading, now: _Reading) -> list[float]:
        """By core, the seconds that its player waited while it worked for others: at most what leaves the clock as
        much as any player has worked."""
        shares = _shares(before, now)
        most_s = now.moment - before.moment - max(share.worked_s for share in shares)
        return [
            max(0.0, min(share.others_s + carried_s, share.waited_s, most_s))
            for share, carried_s in zip(shares, self._carried_s, strict=True)
        ]

    def _read(self) -> _Reading | None:
        if not self._on_cores:
            return None
        cores = [told for core in self._cores if (told := core_time(core)) is not None]
        uses = self._uses()
        here = [use for use in uses[: len(self._cores)] if use is not None]
        if not len(cores) == len(here) == len(self._cores):
            return None
        own = CoreUse(worked_s=time.process_time(), waited_s=processes.own_wait_s())
        return _Reading(moment=self._now(), cores=cores, uses=here, own=own, all_here=len(uses) == len(self._cores))


def _shares(before: _Reading, now: _Reading) -> list[_Share]:
    """What the stretch between two readings was on each core."""
    shares = []
    for core, (was, is_) in enumerate(zip(before.cores, now.cores, strict=True)):
        worked_s = now.uses[core].worked_s - before.uses[core].worked_s
        waited_s = _waited_s(before.uses[core], now.uses[core])
        own_s = 0.0
        if core == 0:  # nothing of a trial goes on while its referee waits to be told
            own_s = now.own.worked_s - before.own.worked_s
            waited_s += _waited_s(before.own, now.own)
        stolen_s = is_.stolen_s - was.stolen_s
        shares.append(
            _Share(
                others_s=is_.busy_s - was.busy_s + stolen_s - worked_s - own_s,
                beside_s=is_.beside_s - was.beside_s,
                worked_s=worked_s,
                waited_s=waited_s + stolen_s,
            )
        )
    return shares


def _waited_s(before: CoreUse, now: CoreUse) -> float:
    return (now.waited_s or 0.0) - (before.waited_s or 0.0)

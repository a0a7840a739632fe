"""A process and all that descend from it: stopped, continued, measured and ended together.

Children that lead a group or a session of their own are found like all others. Orphans are, too, where the system
lets a process adopt those of its descendants, as Linux does.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # of linux/prctl.h
_LOOK_EVERY_S, _LOOK_OFTEN_S = 0.0002, 0.02
_PATIENCE_S = 10.0
"""How long processes may take to stand still: one that waits for a slow disk, or for its turn on a busy core, is
late without any doing of its own."""


class Unstoppable(Exception):
    """Processes start others faster than they can be stopped, or do not stop."""


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends, where the system can."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Has the system kill this process when its parent ends, where it can."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children(pid: int) -> set[int]:
    """The processes that have this one for a parent."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.NoSuchProcess):
            return {child.pid for child in psutil.Process(pid).children()}
        return set()
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found |= {int(word) for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()}
    return found


@dataclass(frozen=True, kw_only=True)
class CoreUse:
    """What processes had of the cores so far: for `worked_s` they worked, and for `waited_s` each of their threads
    could have, added up, and none did; None where the system does not say."""

    worked_s: float
    waited_s: float | None


class ProcessTree:
    """All processes below, and with, the one of a number, which may lead a group."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._waits_ns: dict[int, int] = {}
        self._waited_ns = 0

    def stop(self) -> None:
        """Stops every process by the kernel; returns once all threads of all of them stand still.

        Raises Unstoppable where that does not come to an end.
        """
        self._signal_group(signal.SIGSTOP)
        began = time.monotonic()
        while running := [pid for pid in self._all() if not _stands_still(pid)]:
            took = time.monotonic() - began
            if took > _PATIENCE_S:
                raise Unstoppable(f"{len(running)} processes still run, {took:.0f} s after they were first stopped")
            for pid in running:
                _signal(pid, signal.SIGSTOP)
            time.sleep(_LOOK_EVERY_S if took < _LOOK_OFTEN_S else 10 * _LOOK_EVERY_S)

    def resume(self) -> None:
        """Lets them all go on."""
        for pid in self._all():
            _signal(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends them all; who was in no group with the others may be left an orphan."""
        pids = list(self._all())
        self._signal_group(signal.SIGKILL)
        for pid in pids:
            _signal(pid, signal.SIGKILL)

    def exceeds(self, most: int) -> bool:
        """Whether there are more than so many."""
        return sum(1 for _ in itertools.islice(self._all(), most + 1)) > most

    def cpu_s(self) -> float:
        """Seconds of processor time that they have used, those that have ended not counted."""
        return sum(_cpu_s(pid) for pid in self._all())

    def core_use(self) -> CoreUse:
        """What they, and those of theirs that ended, had of the cores.

        The wait of a thread that ended counts up to the last time that this was asked.
        """
        pids = list(self._all())
        worked_s = sum(_cpu_s(pid) + _reaped_s(pid) for pid in pids)
        if own_wait_s() is None:
            return CoreUse(worked_s=worked_s, waited_s=None)
        waits = {thread: wait for pid in pids for thread, wait in _waits_ns(pid)}
        for thread, wait in waits.items():
            before = self._waits_ns.get(thread, 0)
            self._waited_ns += wait - before if wait >= before else wait  # its number may have been another's
        self._waits_ns = waits
        return CoreUse(worked_s=worked_s, waited_s=self._waited_ns / 1e9)

    def _signal_group(self, number: signal.Signals) -> None:
        """Signals the whole group at once: none of it can start another meanwhile."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _all(self) -> Iterator[int]:
        waiting = [self._pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting += children(pid)


def _stands_still(pid: int) -> bool:
    """Whether no thread of a process can run; a process that has ended stands still."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return True
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # The command's name stands in brackets before the state and may hold anything.
                state = Path(f"/proc/{pid}/task/{thread}/stat").read_bytes().rpartition(b")")[2].split()[0]
                if state not in b"TtZX":
                    return False
    return True


def _cpu_s(pid: int) -> float:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # The number that Linux gives the clock of another process's time, to the nanosecond.
            return time.clock_gettime((~pid << 3) | 2)
        return 0.0
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system
    return 0.0


def own_wait_s() -> float | None:
    """Seconds for which the thread that asks could have run and did not get a core; None where the system does not
    say."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):
            _, wait, turns = map(int, Path("/proc/thread-self/schedstat").read_text().split())
            return wait / 1e9 if turns else None  # all is 0 where the kernel keeps no account
    return None


def _waits_ns(pid: int) -> Iterator[tuple[int, int]]:
    """The threads of a process by number, and the nanoseconds that each has waited for a core."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield int(thread), int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_bytes().split()[1])


def _reaped_s(pid: int) -> float:
    """Seconds of processor time of those of its children, and theirs, that ended and were waited for; in ticks."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # As in _stands_still; the 16th and 17th field of the whole.
            user, system = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[13:15]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return times.children_user + times.children_system
    return 0.0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

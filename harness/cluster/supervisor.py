"""Restarts a bench whose cluster's head restarted: Ray ends every driver whose head is gone.

The bench runs in a process of its own, which is started again once a head answers at the address, and goes on from
its records. It gives up after three losses within 60 s each.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

from pacer.paths import python_environment

ORDERLY = 64
"""Added to the exit status of a supervised bench that came to its own end, good or bad: Ray's own are smaller."""

CLUSTER_LOST = 3
"""The exit status of a bench that found its cluster gone by itself."""

_KNOCK_S = 10.0
_KNOCK_EVERY_S = 2.0
_PATIENCE_S = 3600.0
_SHORT_S, _MOST_SHORT_RUNS = 60.0, 3
"""A run that was lost within so many seconds was too short; after so many of those in a row, it gives up."""


def supervise(command: Sequence[str], address: str, notify: Callable[[str], None]) -> int:
    """Runs a bench by its command until it comes to its own end, and returns its exit status.

    Each time that it is lost instead, the head at `address` is waited for, for an hour, and the bench runs again; 1
    where it gives up. `notify` gets a line each time.
    """
    short_runs = 0
    while True:
        started = time.monotonic()
        status = _ended(command)
        if status >= ORDERLY and status - ORDERLY != CLUSTER_LOST:
            return status - ORDERLY
        short_runs = short_runs + 1 if time.monotonic() - started < _SHORT_S else 0
        if short_runs >= _MOST_SHORT_RUNS:
            notify(
                f"pacer: the cluster at {address} was lost {short_runs} times within a minute each; "
                "repair it, then type the same command again"
            )
            return 1
        notify(f"pacer: the cluster at {address} is gone; the bench goes on when its head is back (Ctrl-C ends it)")
        if not _is_back(address):
            notify(f"pacer: nobody has answered at {address} for an hour; the same command goes on from here")
            return 1


def knock(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT; any other kind of address is not tried."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _is_back(address: str) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(_KNOCK_EVERY_S)
        try:
            knock(address)
        except OSError:
            continue
        return True
    return False


def _ended(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit status; what would stop this process stops it."""
    with subprocess.Popen(command, env=python_environment()) as process:

        def pass_on(number: int, frame: FrameType | None) -> None:
            process.send_signal(number)

        before = signal.signal(signal.SIGTERM, pass_on)
        try:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:  # a terminal sends it to the bench as well, which ends by itself
                    continue
        finally:
            signal.signal(signal.SIGTERM, before)

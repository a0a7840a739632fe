"""What a bench's driver and Ray's services take of a core while trials run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from harness.cluster.ray_trials import TASK

_WORKERS = (f"ray::{TASK}", "ray::IDLE")
"""How Ray titles the process of a worker that runs a trial, and of one that waits for a task."""


@contextmanager
def overhead() -> Iterator[list[float]]:
    """CPU seconds that this process and Ray's services take while the context lasts; trials are not counted."""
    taken = [0.0]
    services = service_processes()
    before = [_cpu_s(process) for process in services]
    yield taken
    taken[0] = sum(max(0.0, _cpu_s(p) - s) for p, s in zip(services, before, strict=True))


def service_processes() -> list[psutil.Process]:
    """This process and all below it, save Ray's workers and what runs in them."""
    services, waiting = [], [psutil.Process()]
    while waiting:
        process = waiting.pop()
        with suppress(psutil.Error):
            if not process.name().startswith(_WORKERS):
                services.append(process)
                waiting += process.children()
    return services


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system

"""Which core a process has that a test starts, where tests run side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.folders import ROOT


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, which may be a bad one, on the core of this test's process."""
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
        preexec_fn=on_one_core,
    )


def on_one_core() -> None:
    """Keeps this process, and what it starts, on a core that other test processes' benches do not use.

    To be called in a child before it runs its program. Benches start and train on one device then; two that share
    the cores of a small machine take more than twice as long.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@contextmanager
def one_core() -> Iterator[None]:
    """The same for a bench that runs in the test's own process."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    on_one_core()
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def burning(*cores: int) -> Iterator[None]:
    """Another program on each of these cores that never rests, with as much right to it as a player has.

    Each is in a session of its own, as players are: Linux shares a core out among sessions first.
    """
    code = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
    with ExitStack() as stack:
        for core in cores:
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", code, str(core)], stdout=subprocess.PIPE, start_new_session=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
        yield

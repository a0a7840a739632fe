"""The machine at hand: its devices, one exclusive core each, and the fingerprint under which times compare."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from harness.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_PINNED_PACKAGES = ("torch", "numpy", "scipy", "ray", "mlflow", "schedulefree", "pytorch_optimizer")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a time depends on. `fingerprint` is twelve hex digits; times compare only under the same one."""

    processor: str
    cores: int
    device: str
    torch: str

    @property
    def fingerprint(self) -> str:
        facts = f"{self.processor}|{self.cores}|{self.device}|{self.torch}|{platform.machine()}|{sys.platform}"
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.device} of {self.processor} ({self.cores} cores), torch {self.torch}"


def hardware(devices: int = 1, compiled: bool = False) -> Hardware:
    """The hardware that a trial over so many devices has here: of each, one CPU core with one thread.

    A compiled model is as good as other hardware: times do not compare.
    """
    device = "1 CPU core" if devices == 1 else f"{devices} x 1 CPU core"
    device += ", compiled" if compiled else ""
    return Hardware(processor=_processor(), cores=psutil.cpu_count() or 1, device=device, torch=version("torch"))


@functools.cache
def usable_cores() -> tuple[int, ...]:
    """One logical CPU of each physical core that this process may use, by number."""
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(psutil.cpu_count(logical=False) or 1))
    chosen: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        chosen.setdefault(core, cpu)
    return tuple(chosen.values())


def pin(core: int) -> None:
    """Keeps this process, and those that it starts, on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def keep_freed_memory() -> None:
    """Makes the allocator keep what a step frees for the next one, where it is glibc's.

    Left alone, it gives the memory of large activations back at the end of a step, and the kernel's page faults for
    getting it again take up to a tenth of the next one: a cost that depends on the process's past and is no
    submission's work.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that it takes
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_M_TOP_PAD, 64 * 2**20)


@contextlib.contextmanager
def exclusive_cores(count: int) -> Iterator[tuple[int, ...]]:
    """Cores that no other trial on this machine uses, in this bench or another one, and this process pinned to the
    first. Who needs several keeps those that it has found, so that it is not passed by for ever; only one at a time
    does, so that no two wait for each other.

    The operating system frees them when the process dies, however it dies. Raises UsageError for more than there
    are.
    """
    cores = usable_cores()
    if count > len(cores):
        raise UsageError(
            f"{count} devices were asked for, and there are {len(cores)} here, a CPU core each; "
            f"type: DEVICES={len(cores)}"
        )
    folder = Path(tempfile.gettempdir()) / f"pacer-cores-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    found: list[int] = []
    alone = FileLock(folder / "several.lock").acquire(poll_interval=0.05) if count > 1 else contextlib.nullcontext()
    with contextlib.ExitStack() as held:
        with alone:
            while len(found) < count:
                for core in cores:
                    if len(found) < count and core not in found:
                        lock = FileLock(folder / f"{core}.lock")
                        with contextlib.suppress(Timeout):
                            lock.acquire(blocking=False)
                            held.callback(lock.release)
                            found.append(core)
                if len(found) < count:
                    time.sleep(0.05)
        pin(found[0])
        yield tuple(found)


def stop_being_nice() -> None:
    """Puts this process, and what it starts, at the usual priority where the system lets it: a worker of
    `ray start` gives way to everything else on its machine, and what it would time then is the others."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(0, os.getpriority(os.PRIO_PROCESS, 0)))


def writable(folder: Path) -> Path:
    """The folder, made if need be; where this machine allows no such place, one in this user's cache instead."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path.home() / ".cache" / "pacer" / folder.name.lstrip(".")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PINNED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@functools.cache
def code_version() -> str:
    """The commit of this code, with "+dirty" where files differ from it, or "unknown" outside a clone."""
    try:
        run = functools.partial(subprocess.run, cwd=ROOT, capture_output=True, text=True, check=True, timeout=10)
        commit = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        return commit + ("+dirty" if run(["git", "status", "--porcelain"]).stdout.strip() else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _processor() -> str:
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    model = "-".join(facts[k] for k in ("cpu family", "model", "stepping") if k in facts)
    return f"{name} {model}".strip()

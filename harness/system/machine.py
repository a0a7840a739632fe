"""The machine at hand: its devices, GPUs or else cores, and the fingerprint under which times compare."""

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from harness.system import gpus
from harness.system.gpus import Gpu
from pacer import paths
from pacer._version import VERSION
from pacer.errors import UsageError
from scoring.records.layout import SINGLE, Layout

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
        """Names this hardware; any difference in these facts gives another one."""
        facts = f"{self.processor}|{self.cores}|{self.device}|{self.torch}|{platform.machine()}|{sys.platform}"
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.device} of {self.processor} ({self.cores} cores), torch {self.torch}"


def hardware(layout: Layout = SINGLE, kinds: Sequence[Gpu] | None = None) -> Hardware:
    """The hardware that a trial has here: GPUs where there are some, else CPU cores with one thread each.

    Another layout is as good as other hardware: times do not compare, nor do budgets at another horizon. `kinds`
    are the machine's GPUs, None for those that this process may use.
    """
    kinds = gpus.usable() if kinds is None else kinds
    one = f"1 {kinds[0].name}" if kinds else "1 CPU core"
    device = one if layout.devices == 1 else f"{layout.devices} x {one}"
    device += f" on {layout.machines} machines" if layout.machines > 1 else ""
    device += ", compiled" if layout.compiled else ""
    device += "".join(f", {factor}" for factor in layout.scale)
    return Hardware(processor=_processor(), cores=psutil.cpu_count() or 1, device=device, torch=version("torch"))


@functools.cache
def usable_cores() -> tuple[int, ...]:
    """One logical CPU of each physical core that this process may use, by number."""
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(psutil.cpu_count(logical=False) or 1))
    chosen: dict[frozenset[int], int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        chosen.setdefault(_threads(cpu), cpu)
    return tuple(chosen.values())


@dataclass(frozen=True, kw_only=True)
class CoreTime:
    """What a core did since the machine started, in seconds that are counted in ticks of 10 ms as a rule.

    `busy_s` it worked, for whomever; for `stolen_s` it had work, and a hypervisor had it; `beside_s` are both, of
    the other hardware threads that share the core.
    """

    busy_s: float
    stolen_s: float = 0.0
    beside_s: float = 0.0


def core_time(core: int) -> CoreTime | None:
    """What a core, by the number of one of its logical CPUs, did so far; None where the system does not say."""
    counted: dict[str, tuple[int, int]] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name.startswith("cpu"):
                user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, ticks[:8])
                counted[name] = user + nice + system + interrupts + soft_interrupts, stolen
    if f"cpu{core}" not in counted:
        return None
    busy, stolen = counted[f"cpu{core}"]
    beside = sum(sum(counted.get(f"cpu{number}", ())) for number in _threads(core) - {core})
    second = os.sysconf("SC_CLK_TCK")
    return CoreTime(busy_s=busy / second, stolen_s=stolen / second, beside_s=beside / second)


@functools.cache
def _threads(cpu: int) -> frozenset[int]:
    """The logical CPUs of a physical core, by one of them."""
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    threads: set[int] = set()
    for part in (siblings.read_text() if siblings.exists() else str(cpu)).split(","):
        low, _, high = part.partition("-")
        threads |= set(range(int(low), int(high or low) + 1))
    return frozenset(threads)


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


@dataclass(frozen=True, kw_only=True)
class Device:
    """What one rank of a trial runs on: a GPU, by its unique id, or else a core, None for any."""

    core: int | None = None
    gpu: str | None = None

    def __str__(self) -> str:
        return f"GPU {self.gpu[4:12]}" if self.gpu is not None else f"core {self.core}"


def device_count() -> int:
    """How many devices this process may use: GPUs where there are some, else cores."""
    return len(gpus.usable()) or len(usable_cores())


@contextlib.contextmanager
def exclusive_devices(count: int) -> Iterator[tuple[Device, ...]]:
    """Devices that no other trial on this machine uses, in this bench or another one. This process is pinned to the
    first of them, or, where they are GPUs, sees no other ones.

    A process that needs several keeps those it has locked while it waits for the rest, so that it is not passed by
    for ever; only one process does so at a time, so that no two wait for each other. The operating system frees the
    locks when the process dies, however it dies.
    Raises UsageError for more than there are.
    """
    usable = [Device(gpu=gpu.uuid) for gpu in gpus.usable()] or [Device(core=core) for core in usable_cores()]
    if count > len(usable):
        kind = "CPU core" if usable[0].gpu is None else "GPU"
        raise UsageError(
            f"{count} devices were asked for, and there are {len(usable)} here, a {kind} each; "
            f"type: DEVICES={len(usable)}"
        )
    folder = Path(tempfile.gettempdir()) / f"pacer-cores-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    locked: list[Device] = []
    alone = FileLock(folder / "several.lock").acquire(poll_interval=0.05) if count > 1 else contextlib.nullcontext()
    with contextlib.ExitStack() as held:
        with alone:
            while len(locked) < count:
                for device in usable:
                    if len(locked) < count and device not in locked:
                        lock = FileLock(folder / f"{device.gpu or device.core}.lock")
                        with contextlib.suppress(Timeout):
                            lock.acquire(blocking=False)
                            held.callback(lock.release)
                            locked.append(device)
                if len(locked) < count:
                    time.sleep(0.05)
        if locked[0].core is not None:
            pin(locked[0].core)
        else:
            gpus.show_only([device.gpu for device in locked if device.gpu is not None])
        yield tuple(locked)


def reset_niceness() -> None:
    """Lowers the niceness of this process, and of what it starts, to 0 where the system lets it: a worker of
    `ray start` is niced, and a timed trial must not yield to what else runs on its machine."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(0, os.getpriority(os.PRIO_PROCESS, 0)))


def writable(folder: Path) -> Path:
    """The folder, made if need be; where this machine allows no such place, one in this user's cache instead."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = paths.user_cache() / folder.name.lstrip(".")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, those that are installed."""
    installed = {"python": platform.python_version()}
    for name in _PINNED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


@functools.cache
def code_version() -> str:
    """The commit of this code in a clone, with "+dirty" where files differ from it; else the version of the
    package, as "pacer 0.2.0".
    """
    tree = paths.source_tree()
    if tree is None or not (tree / ".git").exists():
        return f"pacer {VERSION}"
    try:
        run = functools.partial(subprocess.run, cwd=tree, capture_output=True, text=True, check=True, timeout=10)
        commit = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        return commit + ("+dirty" if run(["git", "status", "--porcelain"]).stdout.strip() else "")
    except (OSError, subprocess.SubprocessError):  # no git, or another user's clone
        return f"pacer {VERSION}"


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

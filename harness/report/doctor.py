"""`python -m harness doctor`: this machine, what is installed, and whether it is quiet enough to time on."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from harness.system import machine, sandbox
from pacer import paths
from scoring.records.protocol import Guard

_QUIET_SPREAD = 0.05
_BUSY_SHARE = 0.10


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """`spread` is the relative interquartile range of a fixed piece of work timed 40 times on one core, `busy` the
    share of the machine's cores in use before that; `advice` says what to mend, nothing where all is well."""

    hardware: str
    fingerprint: str
    devices: int
    memory_gib: float
    disk_free_gib: float
    data: str
    versions: Mapping[str, str]
    code: str
    guards: tuple[str, ...]
    busy: float
    spread: float
    quiet: bool
    advice: tuple[str, ...]

    def as_json(self) -> Mapping[str, object]:
        """Plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """For a person."""
        lines = [
            f"hardware     {self.hardware}",
            f"fingerprint  {self.fingerprint}",
            f"devices      {self.devices}",
            f"memory       {self.memory_gib:.1f} GiB, disk free {self.disk_free_gib:.1f} GiB",
            f"data         {self.data}",
            f"versions     {', '.join(f'{k} {v}' for k, v in self.versions.items())}",
            f"code         {self.code}",
            f"sandbox      {', '.join(self.guards) if self.guards else 'unsandboxed'}",
            f"busy         {100 * self.busy:.0f} % of the cores; the same work varies by {100 * self.spread:.1f} %",
            "quiet        " + ("yes" if self.quiet else "no"),
            *(f"advice       {line}" for line in self.advice),
        ]
        return "\n".join(lines)


def examine() -> Diagnosis:
    """Looks at the machine for about three seconds."""
    busy = psutil.cpu_percent(interval=1.0) / 100
    spread = _spread()
    data = paths.default_data()
    there = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    advice = []
    if busy > _BUSY_SHARE:
        advice.append(f"{100 * busy:.0f} % of the cores are in use; end other programs before timing")
    if spread > _QUIET_SPREAD:
        advice.append(f"the same work varies by {100 * spread:.0f} %: expect wide intervals; run more STUDIES")
    if not hasattr(os, "sched_setaffinity"):
        advice.append("this system cannot pin a process to a core; times vary more than they would on Linux")
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.exists() and governor.read_text().strip() == "powersave":
        advice.append("the processor saves power; type: sudo cpupower frequency-set -g performance")
    guards = sandbox.available()
    if lacking := sorted(set(Guard) - set(guards)):
        advice.append(
            f"nothing keeps a submission from {', '.join(sandbox.EXPLAINED[guard] for guard in lacking)}; run "
            "others' code where the kernel has Landlock (Linux 6.12) and user namespaces"
        )
    if free < 5:
        advice.append(f"only {free:.1f} GiB of disk are free; data, records and MLflow's store need about 2")
    hardware = machine.hardware()
    return Diagnosis(
        hardware=str(hardware),
        fingerprint=hardware.fingerprint,
        devices=machine.device_count(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        disk_free_gib=free,
        data=str(data),
        versions=machine.versions(),
        code=machine.code_version(),
        guards=guards,
        busy=busy,
        spread=spread,
        quiet=busy <= _BUSY_SHARE and spread <= _QUIET_SPREAD,
        advice=tuple(advice),
    )


def _spread() -> float:
    """Relative interquartile range of one thread's time for a fixed piece of arithmetic."""
    values = np.random.default_rng(0).random(400_000)
    seconds = []
    for _ in range(40):
        start = time.perf_counter()
        for _ in range(10):
            np.sort(values)
        seconds.append(time.perf_counter() - start)
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / middle

"""What a bench is doing now, kept beside its records for other terminals: `python -m harness status`."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report.words import duration
from scoring.records import files

_FRESH_S = 30.0
"""A bench says what it does every few seconds; one that has not for so long is gone."""


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """What runs on one device of a node, in words, and since when by Unix time."""

    node: str
    device: str
    trial: str
    since: float


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a bench stands. Times in seconds, `started` and `updated` by Unix time; `repeated` and `lost` count
    trials that had to be run again and that left no record, by node."""

    suite: str
    hardware: str
    started: float
    total: int
    done: int
    devices: int
    left_s: float
    running: tuple[DeviceStatus, ...] = ()
    repeated: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    ended: bool = False
    updated: float = field(default_factory=time.time)
    process: str = f"{platform.node()}:{os.getpid()}"

    @property
    def state(self) -> str:
        """running, ended, or gone: it was killed, or its machine was."""
        if self.ended:
            return "ended"
        return "running" if time.time() - self.updated < _FRESH_S else "gone"


def write(results: Path, status: Status) -> None:
    """Replaces RESULTS/SUITE/status.json."""
    files.replace(results / status.suite / "status.json", json.dumps(asdict(status)).encode())


def read(results: Path) -> Iterator[Status]:
    """The last bench of each suite in a results folder."""
    for path in sorted(results.glob("*/status.json")):
        try:
            facts = json.loads(path.read_text())
            facts["running"] = tuple(DeviceStatus(**device) for device in facts["running"])
            yield Status(**facts)
        except (KeyError, OSError, TypeError, ValueError):  # of another version, or just being replaced
            continue


def as_text(status: Status) -> RenderableType:
    """For a person: how far it is, and what runs where."""
    ago = duration(max(0.0, time.time() - status.updated))
    head = f"{status.suite}: {status.done} of {status.total} trials on {status.devices} x {status.hardware}"
    ends = {
        "running": f"about {duration(status.left_s)} left",
        "ended": f"ended {ago} ago",
        "gone": f"silent for {ago}: it was stopped or lost; the same command goes on",
    }
    lines: list[RenderableType] = [Text(f"{head}, {ends[status.state]} ({status.process})")]
    if status.state == "running":
        lines.append(devices_table(status.running))
    for node, count in sorted(status.repeated.items()):
        lines.append(Text(f"run again: {count} trial{'s'[: count > 1]} of node {node}"))
    if status.lost:
        lines.append(Text(f"lost: {status.lost}"))
    return Group(*lines)


def devices_table(running: tuple[DeviceStatus, ...], most: int | None = None) -> Table:
    """What runs on each device, `most` lines at most."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in sorted(running, key=lambda each: (each.node, each.device))[:most]:
        table.add_row(each.node, each.device, each.trial, duration(time.time() - each.since))
    if most is not None and len(running) > most:
        table.add_row(f"and {len(running) - most} more: python -m harness status")
    return table

"""The nodes of a cluster as a bench sees them: what each is, and how far it has come."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from harness.system.machine import Hardware


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a node says of itself: its hardware, and the devices that trials may have, physical cores or GPUs."""

    hardware: Hardware
    devices: int


class Stage(Enum):
    """How far a node has come."""

    ASKED = "was asked what it is"
    MAKING = "is making the data ready"
    READY = "runs trials"
    LEFT_OUT = "runs none"


PATIENCE_S = {Stage.ASKED: 120.0, Stage.MAKING: 3600.0}
"""Seconds in which a node has to do what it is asked; the first task fetches the code and imports torch."""


@dataclass(kw_only=True)
class Node:
    """A node of the cluster, for trials that take `each` devices of it. `facts` come once it has answered; `doing`
    is what it has been asked to do, as Ray's references."""

    id: str
    name: str
    cpus: int
    gpus: int = 0
    each: int = 1
    doing: list[Any] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)
    stage: Stage = Stage.ASKED
    facts: Facts | None = None

    @property
    def devices(self) -> int:
        """Those that trials may have: GPUs where it has some, else cores."""
        return max(1, min(self.gpus or self.cpus, self.facts.devices)) if self.facts else 0

    @property
    def places(self) -> int:
        """Trials that it can have a part in, side by side."""
        return self.devices // self.each


def side_by_side(places: Sequence[int], machines: int) -> int:
    """How many trials run at once where each takes a place on so many machines, and these are what each has."""
    count = 0
    while sum(min(place, count + 1) for place in places) >= machines * (count + 1):
        count += 1
    return count


def name_of(node: Mapping[str, Any]) -> str:
    """The name that `ray start --node-name` gave or else the host's, and the start of the id."""
    given = node.get("NodeName")
    name = given if given and given != node["NodeManagerAddress"] else node["NodeManagerHostname"]
    return f"{name}/{node['NodeID'][:6]}"

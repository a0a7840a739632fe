"""The nodes of a cluster as a bench sees them: what each is, how far it has come, and which of them measure."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from harness.cluster.ray_api import ObjectRef
from harness.system.machine import Hardware
from pacer.errors import PacerError, UsageError
from scoring.records.layout import Layout


class ClusterError(PacerError):
    """No cluster could be started, or none of its nodes can be measured on."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What a node reports of itself: its hardware, and the devices that trials may have, physical cores or GPUs."""

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
    """A node of the cluster, for trials that take `each` devices of it. `facts` come once it has answered;
    `pending` are the tasks that it was given, as Ray's references."""

    id: str
    name: str
    cpus: int
    gpus: int = 0
    each: int = 1
    pending: list[ObjectRef[Any]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)
    stage: Stage = Stage.ASKED
    facts: NodeFacts | None = None

    @property
    def devices(self) -> int:
        """Those that trials may have: GPUs where it has some, else cores; 0 before it has answered."""
        return max(1, min(self.gpus or self.cpus, self.facts.devices)) if self.facts else 0

    @property
    def slots(self) -> int:
        """Trials that it can have a part in, side by side."""
        return self.devices // self.each


def side_by_side(slots: Sequence[int], machines: int) -> int:
    """How many trials run at once where each takes a slot on so many machines, and these are the slots of each."""
    count = 0
    while sum(min(own, count + 1) for own in slots) >= machines * (count + 1):
        count += 1
    return count


def choose_hardware(nodes: Collection[Node], layout: Layout, fingerprint: str | None, here: Hardware) -> Hardware:
    """The kind of hardware to measure on: that with this fingerprint, or, for None, that on which most trials run
    side by side, this machine's own among equals.

    Raises UsageError where no node has the hardware or no kind has as many devices or machines as a trial takes,
    ClusterError where no node has answered.
    """
    slots = defaultdict[Hardware, list[int]](list)
    for node in nodes:
        if node.facts is not None and node.slots:
            slots[node.facts.hardware].append(node.slots)
    trials = {hardware: n for hardware, of in slots.items() if (n := side_by_side(of, layout.machines))}
    if not trials:
        raise _too_small(nodes, layout, max(map(len, slots.values()), default=0))
    if fingerprint is None:
        return max(trials, key=lambda hardware: (trials[hardware], hardware == here))
    for hardware in trials:
        if hardware.fingerprint == fingerprint:
            return hardware
    there = ", ".join(f"{hardware.fingerprint} ({hardware})" for hardware in trials)
    raise UsageError(f"no node has the hardware {fingerprint}; there are: {there}")


def _too_small(nodes: Collection[Node], layout: Layout, machines: int) -> PacerError:
    """Why no trial of a layout can run on these nodes, of which `machines` of one kind have the devices for it."""
    if not any(node.facts for node in nodes):
        return ClusterError("none of the cluster's nodes can be measured on; the lines above say why")
    if not machines:
        most = max(node.devices for node in nodes)
        return UsageError(
            f"a trial takes {layout.each} devices of one machine, and the largest has {most}; "
            f"type: DEVICES={most * layout.machines}"
        )
    return UsageError(
        f"a trial takes {layout.machines} machines, and of one kind there are {machines}; type: MACHINES={machines}"
    )


def name_of(node: Mapping[str, Any]) -> str:
    """The name that `ray start --node-name` gave or else the host's, and the start of the id."""
    given = node.get("NodeName")
    name = given if given and given != node["NodeManagerAddress"] else node["NodeManagerHostname"]
    return f"{name}/{node['NodeID'][:6]}"

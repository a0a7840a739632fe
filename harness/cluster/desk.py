"""What trials have at the driver wherever they run: a place for checkpoints, and one to say that they started.

The desk is an actor of Ray on the driver's node. Trials that run on that node use its files as they are.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.protocol.place import Place
from harness.system.machine import Device
from harness.trial.keeper import FILES

_NICENESS = 10


@dataclass(frozen=True, kw_only=True)
class Running:
    """A trial under way: which it is, the id of its node, the first device, and since when by Unix time."""

    place: Place
    node: str
    device: str
    since: float


@ray.remote(num_cpus=0, max_restarts=-1)
class _Desk:
    """Keeps files, and the list of what runs."""

    def __init__(self) -> None:
        os.nice(_NICENESS)
        self._running: dict[tuple[str, str], Running] = {}

    def started(self, running: Running) -> None:
        """Notes a trial; it replaces the one that ran on the same device before."""
        self._running[running.node, running.device] = running

    def running(self) -> list[Running]:
        """The last trial of each device, ended or not."""
        return list(self._running.values())

    def write(self, path: Path, data: bytes) -> None:
        FILES.write(path, data)

    def read(self, path: Path) -> bytes | None:
        return FILES.read(path)


class Desk:
    """The driver's end and the trials' end of it; a trial is given one as an argument."""

    def __init__(self) -> None:
        self._node = ray.get_runtime_context().get_node_id()
        here = NodeAffinitySchedulingStrategy(node_id=self._node, soft=False)
        self._actor: ActorHandle = _Desk.options(scheduling_strategy=here).remote()
        ray.get(self._actor.running.remote())  # its start takes a second of a core, which no trial should share

    def started(self, place: Place, device: Device) -> None:
        """Says that a trial starts here, and waits for nobody."""
        node = ray.get_runtime_context().get_node_id()
        self._actor.started.remote(Running(place=place, node=node, device=str(device), since=time.time()))

    def running(self) -> list[Running]:
        """The last trial of each device, ended or not; none where the desk is being started again."""
        try:
            return ray.get(self._actor.running.remote(), timeout=5.0)
        except RayError:
            return []

    def write(self, path: Path, data: bytes) -> None:
        """Keeps a checkpoint in the driver's file of that path. Raises OSError where that fails."""
        if self._is_here():
            return FILES.write(path, data)
        try:
            ray.get(self._actor.write.remote(path, data))
        except RayError as error:
            raise OSError(f"the driver's node did not keep {path}: {error}") from error
        return None

    def read(self, path: Path) -> bytes | None:
        """The checkpoint in the driver's file of that path, None for none."""
        if self._is_here():
            return FILES.read(path)
        try:
            return ray.get(self._actor.read.remote(path))
        except RayError:
            return None

    def _is_here(self) -> bool:
        return ray.get_runtime_context().get_node_id() == self._node

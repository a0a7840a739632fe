"""What trials have at the driver wherever they run: a place for checkpoints, and one to say that they started.

Trials on the driver's node use files. For those on other nodes there is an actor of Ray on the driver's node, which
comes with the first of these: it takes close to a percent of a core, idle as it may be.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.protocol.trial_id import TrialId
from harness.system.machine import Device
from harness.trial.checkpoint_store import FILES
from scoring.records import files

_NICENESS = 10
_SUFFIX = ".running"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A trial under way: which it is, the id of its node, the first device, and since when by Unix time."""

    trial: TrialId
    node: str
    device: str
    since: float


@ray.remote(num_cpus=0, max_restarts=-1)
class _DriverActor:
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


class DriverServices:
    """The driver's end and the trials' end of it; a trial is given one as an argument."""

    def __init__(self) -> None:
        self._node = ray.get_runtime_context().get_node_id()
        self._list = Path(tempfile.mkdtemp(prefix="pacer-desk-"))
        # The driver's own desk removes it; the copies that trials are given do not.
        weakref.finalize(self, shutil.rmtree, self._list, ignore_errors=True)
        self._actor: ActorHandle | None = None

    def open_to(self, nodes: Iterable[str]) -> Self:
        """The desk, within reach of trials on these nodes."""
        if self._actor is None and any(node != self._node for node in nodes):
            here = NodeAffinitySchedulingStrategy(node_id=self._node, soft=False)
            self._actor = _DriverActor.options(scheduling_strategy=here).remote()
            ray.get(self._actor.running.remote())  # its start takes a second of a core: no trial begins beside it
        return self

    def started(self, trial: TrialId, device: Device) -> None:
        """Says that a trial starts here, and waits for nobody."""
        node = ray.get_runtime_context().get_node_id()
        running = Running(trial=trial, node=node, device=str(device), since=time.time())
        if self._is_here():
            with contextlib.suppress(OSError):  # a trial that cannot say where it runs can still run
                files.replace(self._list / f"{device}{_SUFFIX}", pickle.dumps(running))
        else:
            self._actor.started.remote(running)

    def running(self) -> list[Running]:
        """The last trial of each device, ended or not; none of other nodes while the actor is started again."""
        here = [pickle.loads(path.read_bytes()) for path in self._list.glob(f"*{_SUFFIX}")]
        if self._actor is None:
            return here
        try:
            return here + ray.get(self._actor.running.remote(), timeout=5.0)
        except RayError:
            return here

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

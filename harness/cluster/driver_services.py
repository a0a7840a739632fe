"""Driver-side checkpoint storage and list of running trials, for trials wherever they run.

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

from harness.cluster.ray_api import ActorProxy, RayError, node_id, on_node, ray
from harness.protocol.trial_id import TrialId
from harness.system.machine import Device
from harness.trial.checkpoint_store import FILES
from scoring.records import files

_NICENESS = 10
_SUFFIX = ".running"


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial under way: which it is, the id of its node, the first device, and since when by Unix time."""

    trial: TrialId
    node: str
    device: str
    since: float


class _DriverProcess:
    """An actor that keeps files, and the list of what runs."""

    def __init__(self) -> None:
        os.nice(_NICENESS)
        self._running: dict[tuple[str, str], RunningTrial] = {}

    @ray.method
    def started(self, running: RunningTrial) -> None:
        """Lists a trial; it replaces the one that ran on the same device before."""
        self._running[running.node, running.device] = running

    @ray.method
    def running(self) -> list[RunningTrial]:
        """The last trial of each device, ended or not."""
        return list(self._running.values())

    @ray.method
    def write(self, path: Path, data: bytes) -> None:
        FILES.write(path, data)

    @ray.method
    def read(self, path: Path) -> bytes | None:
        return FILES.read(path)


_Actor = ray.remote(num_cpus=0, max_restarts=-1)(_DriverProcess)


class DriverServices:
    """A checkpoint store and the list of running trials; a trial gets it as an argument."""

    def __init__(self) -> None:
        self._node = node_id()
        self._list = Path(tempfile.mkdtemp(prefix="pacer-running-"))
        # The driver's own object removes it; the copies that trials are given do not.
        weakref.finalize(self, shutil.rmtree, self._list, ignore_errors=True)
        self._actor: ActorProxy[_DriverProcess] | None = None

    def reachable_from(self, nodes: Iterable[str]) -> Self:
        """The same, within reach of trials on these nodes."""
        if self._actor is None and any(node != self._node for node in nodes):
            self._actor = _Actor.options(scheduling_strategy=on_node(self._node)).remote()
            ray.get(self._actor.running.remote())  # its start takes a second of a core: no trial begins beside it
        return self

    def started(self, trial: TrialId, device: Device) -> None:
        """Lists a trial that starts in this process on this device; waits for no answer."""
        running = RunningTrial(trial=trial, node=node_id(), device=str(device), since=time.time())
        if (actor := self._remote()) is not None:
            actor.started.remote(running)
            return
        with contextlib.suppress(OSError):  # a trial that cannot be listed can still run
            files.replace(self._list / f"{device}{_SUFFIX}", pickle.dumps(running))

    def running(self) -> list[RunningTrial]:
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
        if (actor := self._remote()) is None:
            FILES.write(path, data)
            return
        try:
            ray.get(actor.write.remote(path, data))
        except RayError as error:
            raise OSError(f"the driver's node did not keep {path}: {error}") from error

    def read(self, path: Path) -> bytes | None:
        """The checkpoint in the driver's file of that path, None for none."""
        if (actor := self._remote()) is None:
            return FILES.read(path)
        try:
            return ray.get(actor.read.remote(path))
        except RayError:
            return None

    def _remote(self) -> ActorProxy[_DriverProcess] | None:
        """The actor, for a process on another node than the driver's; None on the driver's."""
        if node_id() == self._node:
            return None
        assert self._actor is not None, "reachable_from was not asked for this node"
        return self._actor

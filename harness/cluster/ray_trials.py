"""Trials as Ray runs them: a task each, on exclusive devices of any node of the right hardware, or of several."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Sequence, Set

from harness.cluster.cluster import REFRESH_EVERY_S, Cluster
from harness.cluster.driver_services import DriverServices, RunningTrial
from harness.cluster.ray_api import ObjectRef, RayError, RayTaskError, ray
from harness.cluster.remote_slots import Gang, remote_slots_of
from harness.protocol.trial import Trial
from harness.system import machine
from harness.system.machine import Device
from harness.trial.checkpoint_store import CheckpointStore
from harness.trial.player_handle import MeasurementInvalid, went_with_machine
from harness.trial.remote_player import RemoteSlots
from scoring.records import Record

TASK = "trial"
"""What Ray names the task of a trial, and with it the process that runs one: see overhead.py."""

RunTrial = Callable[[Trial, Sequence[Device], CheckpointStore, RemoteSlots | None], Record]
"""What runs a trial on some devices, with its checkpoints kept by the third and remote players by the fourth."""


@dataclasses.dataclass(frozen=True)
class Interrupted:
    """A trial that ended without a record, and why; `passing` where that need not happen again: it was neither the
    submission's doing nor a mistake of ours."""

    trial: Trial
    reason: str
    passing: bool


class _Submitted:
    """A trial that was given to Ray, and the nodes that it may run on."""

    def __init__(self, trial: Trial, cluster: Cluster, run_one: RunTrial) -> None:
        self.trial = trial
        self.nodes = frozenset(node.id for node in cluster.nodes)
        selector = {"ray.io/node-id": f"in({','.join(sorted(self.nodes))})"}
        machines, needs = trial.layout.machines, cluster.resources_each
        self._gang = Gang(machines, needs, selector) if machines > 1 else None
        options = _run.options(
            name=TASK,
            num_cpus=needs["CPU"],
            num_gpus=needs.get("GPU"),
            **({"label_selector": selector} if self._gang is None else {"scheduling_strategy": self._gang.first}),
        )
        services = cluster.services.reachable_from(self.nodes)
        self.reference: ObjectRef[Record] = options.remote(trial, services, run_one)

    def can_run(self, alive: Set[str]) -> bool:
        """Whether enough of its nodes are alive."""
        return len(self.nodes & alive) >= self.trial.layout.machines

    def release(self) -> None:
        """Gives the devices on its nodes back."""
        if self._gang is not None:
            self._gang.release()


class RayTrials:
    """The trials that a cluster has been given: those that run, and those that wait for a device."""

    def __init__(self, cluster: Cluster, run_one: RunTrial) -> None:
        self._cluster = cluster
        self._run_one = run_one
        self._submitted: dict[ObjectRef[Record], _Submitted] = {}

    def __len__(self) -> int:
        return len(self._submitted)

    @property
    def devices(self) -> int:
        """Trials that run side by side now."""
        return self._cluster.devices

    def submit(self, trial: Trial) -> None:
        """Gives Ray a trial to run as soon as a device falls free."""
        one = _Submitted(trial, self._cluster, self._run_one)
        self._submitted[one.reference] = one

    def ended(self) -> Iterator[Record | Interrupted]:
        """What came of one that has ended; waits for that a little, and yields nothing where none has."""
        if not self._submitted:
            return
        done, _ = ray.wait(list(self._submitted), num_returns=1, timeout=REFRESH_EVERY_S)
        for reference in done:
            one = self._submitted.pop(reference)
            one.release()
            try:
                result = ray.get(reference)
            except RayError as error:
                result = _interrupted(one.trial, error)
            yield result

    def refresh(self) -> bool:
        """Takes in nodes that came and drops those that are gone, every two seconds; whether it looked now."""
        return self._cluster.refresh()

    def running(self) -> Collection[RunningTrial]:
        """Those that have started."""
        submitted = {one.trial.id for one in self._submitted.values()}
        return [each for each in self._cluster.services.running() if each.trial in submitted]

    def node_of(self, trial: Trial) -> str | None:
        """The name of the node on which a trial was started last, None where that is not known."""
        running = self._cluster.services.running()
        node = next((each.node for each in running if each.trial == trial.id), None)
        return None if node is None else self._cluster.name(node)

    def withdraw_stranded(self) -> Sequence[Trial]:
        """Takes those back that wait for nodes that are gone, and would for ever."""
        alive = {node.id for node in self._cluster.nodes}
        stranded = [one for one in self._submitted.values() if not one.can_run(alive)]
        for one in stranded:
            del self._submitted[one.reference]
            ray.cancel(one.reference, force=True)
            one.release()
        return [one.trial for one in stranded]


def _interrupted(trial: Trial, error: RayError) -> Interrupted:
    if not isinstance(error, RayTaskError):  # the worker or its node died
        return Interrupted(trial, str(error).strip(), passing=True)
    if isinstance(error.cause, MeasurementInvalid):
        return Interrupted(trial, str(error.cause).strip(), passing=True)
    return Interrupted(trial, str(error).strip(), passing=False)


# Ray would run it again by itself, but without a word.
@ray.remote(max_retries=0)
def _run(trial: Trial, services: DriverServices, run_one: RunTrial) -> Record:
    raylet = os.getppid()
    machine.reset_niceness()
    trial = dataclasses.replace(trial, data=machine.writable(trial.data))
    remote_slots = remote_slots_of(trial)
    with machine.exclusive_devices(trial.layout.each) as devices:
        services.started(trial.id, devices[0])
        return checked(run_one(trial, devices, services, remote_slots), raylet)


def checked(record: Record, parent: int) -> Record:
    """The same record of this process, started by that parent. Raises MeasurementInvalid where a player ended
    because its node is dying."""
    if record.failure is not None and went_with_machine(record.failure, parent):
        raise MeasurementInvalid("the node died, its players first")
    return record

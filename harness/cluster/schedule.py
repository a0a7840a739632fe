"""Has trials run through Ray: a task a trial on exclusive devices of any node of the right hardware, or of some."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from harness.cluster.cluster import LOOK_EVERY_S, Cluster, ray
from harness.cluster.driver_services import DriverServices, Running
from harness.cluster.remote_slots import Gang, asked, remote_slots_of
from harness.protocol.trial import Trial
from harness.protocol.trial_id import TrialId
from harness.system import machine
from harness.system.machine import Device
from harness.trial.checkpoint_store import CheckpointStore
from harness.trial.player_handle import MeasurementInvalid, went_with_machine
from harness.trial.referee import run_trial
from harness.trial.remote_player import RemoteSlots
from scoring.records import Record
from scoring.stopping import StopRule

_RETRIES = 3
"""How often a trial is run again whose worker or node died, or whose measurement was spoilt."""

Perform = Callable[[Trial, Sequence[Device], CheckpointStore, RemoteSlots | None], Record]
"""What runs a trial on some devices, with its checkpoints kept by the third and distant players by the fourth."""


@dataclass(frozen=True)
class Lost:
    """A trial that left no record, through no fault of its submission; the next bench runs it again."""

    trial: Trial
    reason: str


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told what happens while trials run: `repeated` of each that has to be run again, why, and on which
    node it was if that is known; `running` every few seconds of all that run, and on how many devices."""

    repeated: Callable[[Trial, str, str | None], None] = lambda trial, reason, node: None
    running: Callable[[Sequence[Running], int], None] = lambda running, devices: None


class _Sent:
    """A trial that was given to Ray, and the nodes that it may run on."""

    def __init__(self, trial: Trial, cluster: Cluster, services: DriverServices, perform: Perform) -> None:
        self.trial = trial
        self.nodes = frozenset(node.id for node in cluster.nodes)
        selector = {"ray.io/node-id": f"in({','.join(sorted(self.nodes))})"}
        machines, needs = trial.layout.machines, cluster.needs_each
        self._gang = Gang(machines, needs, selector) if machines > 1 else None
        where: dict[str, Any] = {"label_selector": selector} if self._gang is None else self._gang.first
        self.reference = _run.options(**where, **asked(needs)).remote(trial, services.open_to(self.nodes), perform)

    def can_run(self, alive: Set[str]) -> bool:
        """Whether enough of its nodes are alive."""
        return len(self.nodes & alive) >= self.trial.layout.machines

    def release(self) -> None:
        """Gives the places on its nodes back."""
        if self._gang is not None:
            self._gang.release()


def run(
    trials: Sequence[Trial],
    cluster: Cluster,
    rule: Callable[[Trial], StopRule] | None = None,
    watch: Watch = Watch(),
    perform: Perform = run_trial,
) -> Iterator[Record | Lost]:
    """Runs trials as devices fall free and yields their records as they come, in any order.

    `rule` is asked when a trial is about to start, and may know of all records that were yielded before. Trials of
    a node that is gone move to others; while there is none, they wait for one. `perform` runs a trial on
    devices. Of the trials, only those that run are held.
    """
    coming, again, services = iter(trials), deque[Trial](), cluster.services
    sent: dict[ray.ObjectRef, _Sent] = {}
    attempts: Counter[TrialId] = Counter()

    def repeat(trial: Trial, reason: str) -> None:
        again.append(trial)
        where = next((r.node for r in services.running() if r.trial == trial.id), None)
        watch.repeated(trial, reason, where and cluster.name(where))

    left = len(trials)
    while left:
        while len(sent) < min(left, 2 * cluster.devices):  # a queue as long as the cluster: no device waits
            trial = again.popleft() if again else next(coming)
            if rule is not None:
                trial = trial.under(rule(trial))
            one = _Sent(trial, cluster, services, perform)
            sent[one.reference] = one
        done, _ = ray.wait(list(sent), num_returns=1, timeout=LOOK_EVERY_S) if sent else ([], [])
        for reference in done:
            one = sent.pop(reference)
            one.release()
            trial = one.trial
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                attempts[trial.id] += 1
                if attempts[trial.id] <= _RETRIES and _passing(error):
                    repeat(trial, str(getattr(error, "cause", error)).strip())  # Ray would, but without a word
                    continue
                result = Lost(trial, str(error).strip())
            left -= 1
            yield result
        if cluster.look():
            watch.running(_under_way(services, sent), cluster.devices)
            alive = {node.id for node in cluster.nodes}
            for one in [one for one in sent.values() if not one.can_run(alive)]:
                del sent[one.reference]  # it was waiting for nodes that are gone, and would for ever
                ray.cancel(one.reference, force=True)
                one.release()
                repeat(one.trial, "the nodes that it could have run on are gone")
        elif not cluster.devices:
            time.sleep(LOOK_EVERY_S)


def _under_way(services: DriverServices, sent: dict[ray.ObjectRef, _Sent]) -> list[Running]:
    ids = {one.trial.id for one in sent.values()}
    return [running for running in services.running() if running.trial in ids]


def _passing(error: ray.exceptions.RayError) -> bool:
    """Whether what happened need not happen again: it was neither the submission's doing nor a mistake of ours."""
    return isinstance(error.cause, MeasurementInvalid) if isinstance(error, ray.exceptions.RayTaskError) else True


@ray.remote(max_retries=0)
def _run(trial: Trial, services: DriverServices, perform: Perform) -> Record:
    raylet = os.getppid()
    machine.stop_being_nice()
    trial = dataclasses.replace(trial, data=machine.writable(trial.data))
    remote_slots = remote_slots_of(trial)
    with machine.exclusive_devices(trial.layout.each) as devices:
        services.started(trial.id, devices[0])
        return believed(perform(trial, devices, services, remote_slots), raylet)


def believed(record: Record, parent: int) -> Record:
    """The same record of this process, started by that parent. Raises Disturbed where a player ended because its
    node is dying."""
    if record.failure is not None and went_with_machine(record.failure, parent):
        raise MeasurementInvalid("the node died, its players first")
    return record

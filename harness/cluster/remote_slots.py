"""Trials over several machines by Ray: devices on all of them at once, and an actor as the remote host of each
player that is not on its referee's machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from harness.protocol.trial import Trial
from harness.system import machine
from harness.trial import remote_host
from harness.trial.player_handle import MeasurementInvalid
from harness.trial.remote_player import RemoteSlots

_PATIENCE_S = 120.0
"""Seconds in which an actor has to start; where it is the first one on its node it imports torch."""


class Gang:
    """Places for one trial on several nodes, which Ray gives all together; it begins on the first of them."""

    def __init__(self, machines: int, needs: Mapping[str, float], selector: dict[str, str]) -> None:
        """Asks for these of Ray's resources on each of so many machines, among nodes with these labels."""
        self._group = placement_group(
            [dict(needs)] * machines, "STRICT_SPREAD", bundle_label_selector=[selector] * machines
        )

    @property
    def first(self) -> dict[str, Any]:
        """The options of a task that runs on the first node."""
        return {"scheduling_strategy": PlacementGroupSchedulingStrategy(self._group, 0)}

    def release(self) -> None:
        """Gives the places back, and ends what runs there."""
        remove_placement_group(self._group)


def asked(needs: Mapping[str, float]) -> dict[str, float]:
    """The options by which a task or an actor of Ray's asks for resources."""
    return {{"CPU": "num_cpus", "GPU": "num_gpus"}[name]: amount for name, amount in needs.items()}


def remote_slots_of(trial: Trial) -> RemoteSlots | None:
    """Those of the trial whose task this is, None where it lies on one machine."""
    layout = trial.layout
    if layout.machines == 1:
        return None
    group = ray.util.get_current_placement_group()
    assert group is not None
    needs = {name: amount / layout.each for name, amount in group.bundle_specs[0].items()}
    kept = [_RaySlot(group, rank // layout.each, needs) for rank in range(layout.each, layout.devices)]
    return RemoteSlots(host=ray.util.get_node_ip_address(), kept=kept)


class _RaySlot:
    """A device in a bundle of a placement group."""

    def __init__(self, group: PlacementGroup, bundle: int, needs: Mapping[str, float]) -> None:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
        self._actor = _RemoteHost.options(scheduling_strategy=strategy, **asked(needs)).remote()

    def open(self, trial: Trial, rank: int, host: str) -> Connection:
        try:
            address, key = ray.get(self._actor.open.remote(), timeout=_PATIENCE_S)
            self._actor.keep.remote(trial, rank, host)
            return Client(address, authkey=key)
        except (RayError, OSError, EOFError, AuthenticationError) as error:
            raise MeasurementInvalid(f"rank {rank} could not be started on another machine: {error}") from error


@ray.remote(max_restarts=0)
class _RemoteHost:
    """Keeps one player; the trial's task ends it, however that ends itself."""

    def open(self) -> tuple[tuple[str, int], bytes]:
        """Waits for the referee from now on; returns the address and the key."""
        machine.stop_being_nice()
        self._listener = remote_host.RefereeListener(ray.util.get_node_ip_address())
        return self._listener.address, self._listener.key

    def keep(self, trial: Trial, rank: int, host: str) -> None:
        trial = dataclasses.replace(trial, data=machine.writable(trial.data))
        with machine.exclusive_devices(1) as (device,):
            remote_host.serve(self._listener.accept(), trial, rank, host, device)

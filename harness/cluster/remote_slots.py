"""Trials over several machines by Ray: devices on all of them at once, and an actor as the remote host of each
player that is not on its referee's machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection

from harness.cluster.ray_api import (
    PlacementGroup,
    PlacementGroupSchedulingStrategy,
    RayError,
    placement_group,
    ray,
    remove_placement_group,
)
from harness.protocol.trial import Trial
from harness.system import machine
from harness.trial import remote_host
from harness.trial.player_handle import MeasurementInvalid
from harness.trial.remote_player import RemoteSlots

_PATIENCE_S = 120.0
"""Seconds in which an actor has to start; where it is the first one on its node it imports torch."""


class Gang:
    """Devices for one trial on several nodes, which Ray gives all together; it begins on the first of them."""

    def __init__(self, machines: int, needs: Mapping[str, float], selector: dict[str, str]) -> None:
        """Asks for these of Ray's resources on each of so many machines, among nodes with these labels."""
        self._group = placement_group(
            [dict(needs)] * machines, "STRICT_SPREAD", bundle_label_selector=[selector] * machines
        )

    @property
    def first(self) -> PlacementGroupSchedulingStrategy:
        """Runs a task on the first node."""
        return PlacementGroupSchedulingStrategy(self._group, 0)

    def release(self) -> None:
        """Gives the devices back, and ends what runs there."""
        remove_placement_group(self._group)


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
        options = {"num_cpus": needs.get("CPU"), "num_gpus": needs.get("GPU")}
        self._actor = _Actor.options(scheduling_strategy=strategy, **options).remote()

    def open(self, trial: Trial, rank: int, host: str) -> Connection:
        try:
            address, key = ray.get(self._actor.open.remote(), timeout=_PATIENCE_S)
            self._actor.keep.remote(trial, rank, host)
            return Client(address, authkey=key)
        except (RayError, OSError, EOFError, AuthenticationError) as error:
            raise MeasurementInvalid(f"rank {rank} could not be started on another machine: {error}") from error


class _RemoteHost:
    """An actor that keeps one player; the trial's task ends it, however that ends itself."""

    @ray.method
    def open(self) -> tuple[tuple[str, int], bytes]:
        """Waits for the referee from now on; returns the address and the key."""
        machine.reset_niceness()
        self._listener = remote_host.RefereeListener(ray.util.get_node_ip_address())
        return self._listener.address, self._listener.key

    @ray.method
    def keep(self, trial: Trial, rank: int, host: str) -> None:
        trial = dataclasses.replace(trial, data=machine.writable(trial.data))
        with machine.exclusive_devices(1) as (device,):
            remote_host.serve(self._listener.accept(), trial, rank, host, device)


_Actor = ray.remote(max_restarts=0)(_RemoteHost)

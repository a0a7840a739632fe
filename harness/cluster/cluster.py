"""The Ray cluster that a bench runs on: which of its nodes measure, and which are left out because times would not
compare.

A bench measures on one kind of hardware. Nodes of that kind are taken in whenever they come, with the bench's
datasets made ready on them first; a node that is gone is named.
"""

from __future__ import annotations

import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Both are read when ray is imported. Nothing of ours reports to another host; and `ray start` guards its clusters
# with a token that a driver shows only if told to.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if (Path.home() / ".ray" / "auth_token").exists():
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.driver_services import DriverServices
from harness.cluster.nodes import PATIENCE_S, Facts, Node, Stage, name_of, side_by_side
from harness.system import gpus, machine
from harness.system.machine import Hardware
from pacer.errors import ClusterLost, PacerError, UsageError
from scoring.records.layout import SINGLE, Layout
from workloads.datasets.base import Dataset, DatasetError

LOOK_EVERY_S = 2.0
"""Seconds between two looks at what nodes there are."""


class ClusterError(PacerError):
    """No cluster could be started, or none of its nodes can be measured on."""


class Cluster:
    """The nodes of one kind of hardware, as they come and go."""

    def __init__(
        self,
        wanted: str | None = None,
        tell: Callable[[str], None] = lambda text: None,
        layout: Layout = SINGLE,
    ) -> None:
        """Waits until the nodes that are there have answered. `wanted` is the fingerprint of the hardware that is
        measured on, None for that with the most devices; `tell` is told of nodes that come, go or are left out.
        Trials are of one `layout`.

        Raises ClusterError where no node can be measured on, UsageError where none has the hardware that is wanted.
        """
        self._tell, self._layout = tell, layout
        self._nodes: dict[str, Node] = {}
        self._datasets: Sequence[Dataset] = ()
        self._cache = Path()
        self._looked = -LOOK_EVERY_S
        self._hardware: Hardware | None = None
        self.look()
        while any(node.stage is Stage.ASKED and node.doing for node in self._nodes.values()):
            time.sleep(0.05)
            self._advance_all()
        self._hardware = self._choose(wanted)
        self._advance_all()

    @functools.cached_property
    def services(self) -> DriverServices:
        """One for all trials."""
        return DriverServices()

    @property
    def hardware(self) -> Hardware:
        """The one kind that is measured on."""
        assert self._hardware is not None
        return self._hardware

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that trials run on."""
        return tuple(node for node in self._nodes.values() if node.stage is Stage.READY)

    @property
    def devices(self) -> int:
        """Trials that run side by side now."""
        return side_by_side([node.places for node in self.nodes], self._layout.machines)

    @property
    def needs_each(self) -> dict[str, float]:
        """What Ray calls CPUs and GPUs, as many as are one trial's on each of its nodes: two CPUs a core where Ray
        counts both threads of one, and beside a GPU its share of them."""
        each = self._layout.each
        needs = {"CPU": float(each * max([1, *(node.cpus // node.devices for node in self.nodes)]))}
        return needs | {"GPU": float(each)} if any(node.gpus for node in self.nodes) else needs

    def name(self, node: str) -> str:
        """What a person calls a node, by its id."""
        return self._nodes[node].name if node in self._nodes else node[:8]

    def needs(self, datasets: Sequence[Dataset], cache: Path) -> Iterator[tuple[str, bool]]:
        """Makes datasets ready on every node, those that come later included.

        Yields their names once every node has them, and whether one was damaged. Raises DatasetError where that
        fails.
        """
        self._datasets, self._cache = datasets, cache.absolute()
        making = {ref: (name, node) for node in self.nodes for name, ref in self._make(node).items()}
        damaged = set()
        while making:
            done, _ = ray.wait(list(making), num_returns=1)
            for reference in done:
                name, node = making.pop(reference)
                try:
                    damaged |= {name} if ray.get(reference) else set()
                except RayTaskError as error:
                    raise error.cause from None
                except RayError as error:
                    text = f"dataset {name}: the process that made it died on {node.name}: {error}"
                    raise DatasetError(text) from error
                if all(other != name for other, _ in making.values()):
                    yield name, name in damaged

    def look(self) -> bool:
        """Takes in nodes that came and drops those that are gone, at most every two seconds; whether it looked.

        Raises ClusterLost where this process's own node is gone: nothing can be asked of a cluster without it.
        """
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return False
        self._looked = time.monotonic()
        here = ray.get_runtime_context().get_node_id()
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        if here not in alive:
            raise ClusterLost("Ray has died on this machine; the same command goes on from here")
        for gone in self._nodes.keys() - alive.keys():
            node = self._nodes.pop(gone)
            if node.stage is Stage.READY:
                self._tell(f"node {node.name} is gone, {self._devices_text()} left")
        for id in alive.keys() - self._nodes.keys():
            cpus, gpus = (int(alive[id]["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
            if cpus:
                each = self._layout.each
                node = self._nodes[id] = Node(id=id, name=name_of(alive[id]), cpus=cpus, gpus=gpus, each=each)
                if id == here:
                    node.facts = _own_facts(self._layout, gpus)
                else:
                    node.doing = [_facts.options(scheduling_strategy=_on(id)).remote(self._layout, gpus)]
        self._advance_all()
        return True

    # ---- the way of a node: asked what it is, asked to make the data ready, ready

    def _advance_all(self) -> None:
        for node in self._nodes.values():
            if node.stage in (Stage.ASKED, Stage.MAKING):
                self._advance(node)

    def _advance(self, node: Node) -> None:
        """Takes a node one stage further where it has done what it was asked."""
        late = time.monotonic() - node.since > PATIENCE_S[node.stage]
        if node.doing:
            _, waiting = ray.wait(node.doing, num_returns=len(node.doing), timeout=0)
            if waiting and not late:
                return
            try:
                answers = ray.get(node.doing, timeout=0)
            except (RayError, DatasetError, OSError) as error:
                self._leave_out(node, _last_line(error))
                return
            node.doing = []
            if node.stage is Stage.ASKED:
                (node.facts,) = answers
        if node.stage is Stage.MAKING:
            node.stage = Stage.READY
            if self._datasets:
                self._tell(f"node {node.name} joined, {self._devices_text()} now")
        elif self._hardware is not None and node.facts is not None:
            if not node.places:
                self._leave_out(node, f"it has {node.devices} devices, and a trial takes {node.each} of one node")
                return
            theirs = node.facts.hardware
            if theirs.fingerprint != self._hardware.fingerprint:
                hint = f"HARDWARE={theirs.fingerprint} measures there instead"
                self._leave_out(
                    node, f"it is {theirs}, whose times do not compare with those of the others; {hint}"
                )
                return
            node.stage, node.since = Stage.MAKING, time.monotonic()
            node.doing = list(self._make(node).values())
            if not node.doing:
                self._advance(node)

    def _leave_out(self, node: Node, reason: str) -> None:
        node.stage, node.doing = Stage.LEFT_OUT, []
        self._tell(f"node {node.name} is left out: {reason}")

    def _choose(self, wanted: str | None) -> Hardware:
        layout, places = self._layout, defaultdict[Hardware, list[int]](list)
        for node in self._nodes.values():
            if node.places:
                places[node.facts.hardware].append(node.places)
        devices = {hardware: n for hardware, of in places.items() if (n := side_by_side(of, layout.machines))}
        if not devices and (asked := [node for node in self._nodes.values() if node.facts is not None]):
            most = max(node.devices for node in asked)
            if not places:
                raise UsageError(
                    f"a trial takes {layout.each} devices of one machine, and the largest has {most}; "
                    f"type: DEVICES={most * layout.machines}"
                )
            there = max(map(len, places.values()))
            raise UsageError(
                f"a trial takes {layout.machines} machines, and of one kind there are {there}; "
                f"type: MACHINES={there}"
            )
        if not devices:
            raise ClusterError("none of the cluster's nodes can be measured on; the lines above say why")
        if wanted is None:
            here = machine.hardware(layout)
            return max(devices, key=lambda hardware: (devices[hardware], hardware == here))
        for hardware in devices:
            if hardware.fingerprint == wanted:
                return hardware
        there = ", ".join(f"{hardware.fingerprint} ({hardware})" for hardware in devices)
        raise UsageError(f"no node has the hardware {wanted}; there are: {there}")

    def _make(self, node: Node) -> dict[str, ray.ObjectRef]:
        task = _prepare.options(scheduling_strategy=_on(node.id))
        return {dataset.name: task.remote(dataset, self._cache) for dataset in self._datasets}

    def _devices_text(self) -> str:
        return f"{self.devices} device{'' if self.devices == 1 else 's'}"


def _on(node: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _last_line(error: BaseException) -> str:
    if isinstance(error, GetTimeoutError):
        return "it did not answer in time"
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _own_facts(layout: Layout, count: int) -> Facts:
    """Of a node of which Ray has so many GPUs: it hides them from a task that has asked for none."""
    kinds = gpus.listed()[:count]
    return Facts(hardware=machine.hardware(layout, kinds), devices=len(kinds) or len(machine.usable_cores()))


@ray.remote(num_cpus=0)
def _facts(layout: Layout, count: int) -> Facts:
    return _own_facts(layout, count)


@ray.remote(num_cpus=1)
def _prepare(dataset: Dataset, cache: Path) -> bool:
    return dataset.repair(machine.writable(cache))

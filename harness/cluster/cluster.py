"""The Ray cluster that a bench runs on: which of its nodes measure, and which are left out because times would not
compare.

A bench measures on one kind of hardware. Nodes of that kind are taken in whenever they come, with the bench's
datasets made ready on them first; a node that is gone is named.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.cluster import node_tasks
from harness.cluster.driver_services import DriverServices
from harness.cluster.nodes import PATIENCE_S, Node, Stage, choose_hardware, name_of, side_by_side
from harness.cluster.ray_api import GetTimeoutError, ObjectRef, RayError, RayTaskError, node_id, ray
from harness.system import machine
from harness.system.machine import Hardware
from pacer.errors import ClusterLost
from scoring.records.layout import SINGLE, Layout
from workloads.datasets.base import Dataset, DatasetError

REFRESH_EVERY_S = 2.0
"""Seconds between two looks at what nodes there are."""


class Cluster:
    """The nodes of one kind of hardware, as they come and go."""

    def __init__(
        self,
        fingerprint: str | None = None,
        notify: Callable[[str], None] = lambda text: None,
        layout: Layout = SINGLE,
    ) -> None:
        """Waits until the nodes that are there have answered. `fingerprint` is that of the hardware to measure on,
        None for the kind with the most devices; `notify` gets a line for each node that comes, goes or is left out.
        Trials are of one `layout`.

        Raises ClusterError where no node can be measured on, UsageError where none has the hardware that is wanted.
        """
        self._notify, self._layout = notify, layout
        self._nodes: dict[str, Node] = {}
        self._datasets: Sequence[Dataset] = ()
        self._cache = Path()
        self._refreshed = -REFRESH_EVERY_S
        self._hardware: Hardware | None = None
        self.refresh()
        while any(node.stage is Stage.ASKED and node.pending for node in self._nodes.values()):
            time.sleep(0.05)
            self._advance_all()
        self._hardware = choose_hardware(self._nodes.values(), layout, fingerprint, machine.hardware(layout))
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
        return side_by_side([node.slots for node in self.nodes], self._layout.machines)

    @property
    def resources_each(self) -> dict[str, float]:
        """What Ray calls CPUs and GPUs, as many as are one trial's on each of its nodes: two CPUs a core where Ray
        counts both threads of one, and beside a GPU its share of them."""
        each = self._layout.each
        cpus = {"CPU": float(each * max([1, *(node.cpus // node.devices for node in self.nodes)]))}
        return cpus | {"GPU": float(each)} if any(node.gpus for node in self.nodes) else cpus

    def name(self, node: str) -> str:
        """What a person calls a node, by its id."""
        return self._nodes[node].name if node in self._nodes else node[:8]

    def prepare(self, datasets: Sequence[Dataset], cache: Path) -> Iterator[tuple[str, bool]]:
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

    def refresh(self) -> bool:
        """Takes in nodes that came and drops those that are gone, at most every two seconds; whether it looked.

        Raises ClusterLost where this process's own node is gone: nothing can be asked of a cluster without it.
        """
        if time.monotonic() - self._refreshed < REFRESH_EVERY_S:
            return False
        self._refreshed = time.monotonic()
        here = node_id()
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        if here not in alive:
            raise ClusterLost("Ray has died on this machine; the same command goes on from here")
        for gone in self._nodes.keys() - alive.keys():
            node = self._nodes.pop(gone)
            if node.stage is Stage.READY:
                self._notify(f"node {node.name} is gone, {self._devices_text()} left")
        for id in alive.keys() - self._nodes.keys():
            cpus, gpus = (int(alive[id]["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
            if cpus:
                each = self._layout.each
                node = self._nodes[id] = Node(id=id, name=name_of(alive[id]), cpus=cpus, gpus=gpus, each=each)
                if id == here:
                    node.facts = node_tasks.facts_here(self._layout, gpus)
                else:
                    node.pending = [node_tasks.facts_of(id, self._layout, gpus)]
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
        if node.pending:
            _, waiting = ray.wait(node.pending, num_returns=len(node.pending), timeout=0)
            if waiting and not late:
                return
            try:
                answers = ray.get(node.pending, timeout=0)
            except (RayError, DatasetError, OSError) as error:
                self._leave_out(node, _last_line(error))
                return
            node.pending = []
            if node.stage is Stage.ASKED:
                (node.facts,) = answers
        if node.stage is Stage.MAKING:
            node.stage = Stage.READY
            if self._datasets:
                self._notify(f"node {node.name} joined, {self._devices_text()} now")
        elif self._hardware is not None and node.facts is not None:
            if reason := _unfit(node, node.facts.hardware, self._hardware):
                self._leave_out(node, reason)
                return
            node.stage, node.since = Stage.MAKING, time.monotonic()
            node.pending = list(self._make(node).values())
            if not node.pending:
                self._advance(node)

    def _leave_out(self, node: Node, reason: str) -> None:
        node.stage, node.pending = Stage.LEFT_OUT, []
        self._notify(f"node {node.name} is left out: {reason}")

    def _make(self, node: Node) -> dict[str, ObjectRef[bool]]:
        return {d.name: node_tasks.prepare_on(node.id, d, self._cache) for d in self._datasets}

    def _devices_text(self) -> str:
        return f"{self.devices} device{'' if self.devices == 1 else 's'}"


def _unfit(node: Node, has: Hardware, measured: Hardware) -> str | None:
    """Why no trial may run on a node that has this hardware where another is measured; None where one may."""
    if not node.slots:
        return f"it has {node.devices} devices, and a trial takes {node.each} of one node"
    if has.fingerprint != measured.fingerprint:
        hint = f"HARDWARE={has.fingerprint} measures there instead"
        return f"it is {has}, whose times do not compare with those of the others; {hint}"
    return None


def _last_line(error: BaseException) -> str:
    if isinstance(error, GetTimeoutError):
        return "it did not answer in time"
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__

"""What a node of the cluster is asked to do before trials run on it, as tasks of Ray."""

from __future__ import annotations

from pathlib import Path

from harness.cluster.nodes import NodeFacts
from harness.cluster.ray_api import ObjectRef, on_node, ray
from harness.system import gpus, machine
from scoring.records.layout import Layout
from workloads.datasets.base import Dataset


def facts_here(layout: Layout, count: int) -> NodeFacts:
    """Of this node, of which Ray has so many GPUs: it hides them from a task that has asked for none."""
    kinds = gpus.listed()[:count]
    return NodeFacts(hardware=machine.hardware(layout, kinds), devices=len(kinds) or len(machine.usable_cores()))


def facts_of(node: str, layout: Layout, count: int) -> ObjectRef[NodeFacts]:
    """The same of the node with this id."""
    return _facts.options(scheduling_strategy=on_node(node)).remote(layout, count)


def prepare_on(node: str, dataset: Dataset, cache: Path) -> ObjectRef[bool]:
    """Makes a dataset ready on the node with this id; whether it was damaged."""
    return _prepare.options(scheduling_strategy=on_node(node)).remote(dataset, cache)


@ray.remote(num_cpus=0)
def _facts(layout: Layout, count: int) -> NodeFacts:
    return facts_here(layout, count)


@ray.remote(num_cpus=1)
def _prepare(dataset: Dataset, cache: Path) -> bool:
    return dataset.repair(machine.writable(cache))

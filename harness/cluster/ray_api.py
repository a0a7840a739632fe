"""Ray as this project uses it: imported once, after the environment that it reads is set, and with types where it
has none."""

from __future__ import annotations

import os
from pathlib import Path

# Both are read when ray is imported. Nothing of ours reports to another host; and `ray start` guards its clusters
# with a token that a driver shows only if told to.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if (Path.home() / ".ray" / "auth_token").exists():
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray import ObjectRef
from ray.actor import ActorProxy
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

__all__ = [
    "ActorProxy",
    "GetTimeoutError",
    "ObjectRef",
    "PlacementGroup",
    "PlacementGroupSchedulingStrategy",
    "RayError",
    "RayTaskError",
    "node_id",
    "on_node",
    "placement_group",
    "ray",
    "remove_placement_group",
]


def node_id() -> str:
    """Ray's id of the node that this process runs on."""
    return ray.get_runtime_context().get_node_id()


def on_node(node: str) -> NodeAffinitySchedulingStrategy:
    """Runs a task or an actor on the node with this id and on no other."""
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)

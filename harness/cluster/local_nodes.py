"""Clusters of several Ray nodes on this machine, to measure what a node more costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster


@contextmanager
def local_nodes(count: int) -> Iterator[str]:
    """The address of a cluster of so many nodes with a device each, which ends with the context."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        assert cluster.address is not None
        yield cluster.address
    finally:
        cluster.shutdown()

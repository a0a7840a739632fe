"""What there is to run: the rows that the `workloads` and `submissions` verbs print."""

from __future__ import annotations

from typing import Any

import torch

from harness import machine
from harness.calibrate import calibrated
from harness.choose import listed_workloads
from harness.plan import Settings
from submissions.registry import known, summary


def workloads(settings: Settings) -> list[dict[str, Any]]:
    """A row a workload of the suite. `seconds_per_step` is the reference's here, None before a first bench."""
    chosen = listed_workloads(settings)
    pace = calibrated(settings, chosen, machine.hardware().fingerprint)
    rows = []
    for workload in chosen:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in workload.model().parameters())
        rows.append(
            {
                "name": workload.name,
                "task": workload.task,
                "parameters": parameters,
                "dataset": workload.dataset.name,
                "metric": workload.metric.name,
                "target": workload.target,
                "batch_size": workload.batch_size,
                "step_hint": workload.step_hint,
                "seconds_per_step": pace.get(workload.name),
            }
        )
    return rows


def submissions() -> list[dict[str, Any]]:
    """A row a submission of the folder: its name, its file and the first line of its description."""
    return [
        {"name": name, "file": f"submissions/{path.name}", "about": summary(path)} for name, path in known().items()
    ]

"""What there is to run: the rows that the `workloads` and `submissions` verbs print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harness import machine
from harness.calibrate import calibrated
from harness.plan import Settings
from submissions.registry import known, summary
from workloads.base import Workload


def workloads(settings: Settings, chosen: Sequence[Workload]) -> list[dict[str, Any]]:
    """A row a workload. `seconds_per_step` is the reference's here, None before a first bench."""
    pace = calibrated(settings, chosen, machine.hardware().fingerprint)
    rows = []
    for workload in chosen:
        with torch.device("meta"):
            model = workload.model()
        rows.append(
            {
                "name": workload.name,
                "task": workload.task,
                "model": type(model).__name__,
                "parameters": sum(p.numel() for p in model.parameters()),
                "dataset": workload.dataset.name,
                "examples": workload.train_examples or workload.dataset.examples["train"],
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

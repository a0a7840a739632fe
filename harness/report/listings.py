"""What there is to run: the rows that the `workloads` and `submissions` verbs print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.protocol.settings import Settings
from harness.protocol.step_time import known_step_times
from harness.system import machine
from scoring.claims import Claim, Expects
from submissions import points
from submissions.about import About, about
from submissions.registry import known
from workloads.base import Workload


def workloads(settings: Settings, chosen: Sequence[Workload]) -> list[dict[str, Any]]:
    """A row a workload. `seconds_per_step` is the reference's here, None before a first bench."""
    pace = known_step_times(settings, chosen, machine.hardware().fingerprint)
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
    """A row a submission of the folder. `state_bytes` is what it keeps beside each parameter, in bytes, measured
    when it was calibrated, None before; `needs` what it asks for beyond a gradient a step."""
    return [
        {
            "name": name,
            "about": said.summary,
            "paper": said.paper,
            "ruleset": "self, external" if said.searched else "self",
            "needs": said.needs,
            "against": said.against,
            "state_bytes": size,
            "file": f"submissions/{path.name}",
        }
        for name, path, said, size in _known()
    ]


def claims() -> list[Claim]:
    """What the submissions of the folder claim, those that claim anything."""
    return [
        Claim(
            name=name,
            about=said.summary,
            paper=said.paper or "",
            variant=said.variant or "",
            claim=said.claim,
            against=said.against,
            expects=Expects(said.expects),
            state_bytes=size,
        )
        for name, _, said, size in _known()
        if said.claim is not None and said.against is not None
    ]


def _known() -> Iterator[tuple[str, Path, About, float | None]]:
    for name, path in known().items():
        calibration = points.load(path, name)
        size = None if calibration is None else calibration.state_bytes_per_parameter
        yield name, path, about(path.read_text()), size

"""What there is to run: the rows that the commands `workloads` and `submissions` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from harness.protocol.settings import Settings
from harness.protocol.step_time import known_step_times
from harness.system import machine
from scoring.claims import Claim, Expects
from submissions import points
from submissions.about import About, about
from submissions.registry import known
from workloads.base import Workload


def workloads(settings: Settings, chosen: Sequence[Workload]) -> list[dict[str, object]]:
    """A row a workload. `seconds_per_step` is the reference's here, None before a first bench."""
    step_times = known_step_times(settings, chosen, machine.hardware().fingerprint)
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
                "seconds_per_step": step_times.get(workload.name),
            }
        )
    return rows


def submissions() -> list[dict[str, object]]:
    """A row a submission of the folder. `state_bytes` is what it keeps beside each parameter, in bytes, measured
    when it was tuned, None before; `needs` what it asks for beyond a gradient a step."""
    return [
        {
            "name": name,
            "about": facts.summary,
            "paper": facts.paper,
            "ruleset": "self, external" if facts.searched else "self",
            "needs": facts.needs,
            "against": facts.against,
            "state_bytes": size,
            "file": f"submissions/{path.name}",
        }
        for name, path, facts, size in _known()
    ]


def claims() -> list[Claim]:
    """What the submissions of the folder claim, those that claim anything."""
    return [
        Claim(
            name=name,
            about=facts.summary,
            paper=facts.paper or "",
            variant=facts.variant or "",
            claim=facts.claim,
            against=facts.against,
            expects=Expects(facts.expects),
            state_bytes=size,
        )
        for name, _, facts, size in _known()
        if facts.claim is not None and facts.against is not None
    ]


def _known() -> Iterator[tuple[str, Path, About, float | None]]:
    for name, path in known().items():
        tuned = points.load(path, name)
        size = None if tuned is None else tuned.state_bytes_per_parameter
        yield name, path, about(path.read_text()), size

"""What one call of the bench did, kept as a line beside the records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """What one call of the bench did. `running_s` is the wall time in which trials ran, `wall_s` that of the whole
    call; `overhead_cores` the share of a core that all but the trials took while they ran."""

    suite: str
    workloads: tuple[str, ...]
    fingerprint: str
    started: float
    wall_s: float
    trials_run: int = 0
    trials_lost: int = 0
    devices: int = 1
    submission_s: float = 0.0
    running_s: float = 0.0
    overhead_cores: float = 0.0


def append_report(results: Path, report: BenchReport) -> None:
    """Adds one line to RESULTS/SUITE/benches.jsonl."""
    path = results / report.suite / "benches.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps(asdict(report)) + "\n")

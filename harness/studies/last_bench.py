"""What the last bench shows of the harness: how soon trials start, and how much time is not submission time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from harness.protocol.settings import Settings
from scoring.records import Record, RecordStore


@dataclass(frozen=True, kw_only=True)
class LastBench:
    """`trial_start_s`: from a device falling free to the clock of its next trial, median, None where no device had
    two. `wall_ratio`: wall time of the bench over submission time per device. `overhead_cores`: share of a core
    that the driver and Ray's services took while trials ran."""

    trial_start_s: float | None
    wall_ratio: float
    overhead_cores: float


def last_bench(settings: Settings) -> LastBench | None:
    """The last bench of the suite that ran two trials a device or more; None where there is none."""
    path = settings.results / settings.suite / "benches.jsonl"
    if not path.exists():
        return None
    benches = [json.loads(line) for line in path.read_text().splitlines()]
    benches = [bench for bench in benches if bench["trials_run"] >= 2 * bench["devices"]]
    if not benches:
        return None
    last = benches[-1]
    records, _ = RecordStore(settings.results, settings.suite).read()
    ran = [r for r in records if last["started"] <= r.started <= last["started"] + last["wall_s"]]
    starts = trial_starts(ran)
    return LastBench(
        trial_start_s=median(starts) if starts else None,
        wall_ratio=last["wall_s"] / (last["submission_s"] / last["devices"]),
        overhead_cores=last["overhead_cores"],
    )


def trial_starts(records: Sequence[Record]) -> list[float]:
    """Seconds from the end of a worker's trial to the clock of its next one, for all but each worker's first."""
    by_worker: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_worker[record.worker].append(record)
    starts = []
    for ran in by_worker.values():
        ran.sort(key=lambda r: r.started)
        starts += [b.clock_started - a.ended for a, b in pairwise(ran) if b.clock_started]
    return starts

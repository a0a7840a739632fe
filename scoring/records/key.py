"""What identifies a trial."""

from __future__ import annotations

from typing import NamedTuple


class TrialKey(NamedTuple):
    """What identifies a trial: a second record with the same key repeats the first. In JSON, a list."""

    suite: str
    workload: str
    workload_hash: str
    submission: str
    submission_hash: str
    ruleset: str
    seed: int
    study: int
    trial: int
    fingerprint: str

"""The id by which messages and logs name a trial."""

from __future__ import annotations

from typing import NamedTuple


class TrialId(NamedTuple):
    """Which of a bench's trials one is."""

    workload: str
    submission: str
    study: int
    trial: int

    def __str__(self) -> str:
        return f"{self.workload}  {self.submission}  study {self.study}"

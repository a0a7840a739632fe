"""Where a trial stands in its bench."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Which of a bench's trials one is."""

    workload: str
    submission: str
    study: int
    trial: int

    def __str__(self) -> str:
        return f"{self.workload}  {self.submission}  study {self.study}"

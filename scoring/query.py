"""Which board is wanted: what `build_board` and `select` take with the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pacer.errors import UsageError
from scoring.names import Axis, Score
from scoring.records.protocol import REFERENCE
from scoring.rules import RULES
from scoring.times import AXES

REMEDY = "run: make bench"


@dataclass(frozen=True, kw_only=True)
class BoardQuery:
    """Which records a board ranks, and how.

    `workloads`: which, in the board's order; None for those with records, variants aside. `fingerprint`: the
    hardware; None for the one with the most records. `score`: a name in scoring.rules.RULES; None for the ladder
    score, or without trials of the reference for the anchored one. `by`: "time", "steps"
    or "examples". `interpolated`: whether scores of times to targets take a target for reached between two
    evaluations, where a straight line meets it. `remedy`: what warnings about missing trials advise, "" for
    `run: make bench`. `draws` resamples, from `seed`, make the intervals. Raises UsageError for a score or an axis
    that does not exist.
    """

    suite: str
    ruleset: str = "self"
    reference: str = REFERENCE
    workloads: Sequence[str] | None = None
    fingerprint: str | None = None
    score: Score | None = None
    by: Axis = "time"
    interpolated: bool = False
    remedy: str = ""
    seed: int = 0
    draws: int = 2000

    def __post_init__(self) -> None:
        if self.score is not None and self.score not in RULES:
            raise UsageError(f"score is {self.score!r}, expected one of {', '.join(RULES)}")
        if self.by not in AXES:
            raise UsageError(f"by is {self.by!r}, expected one of {', '.join(AXES)}")

    @property
    def advice(self) -> str:
        """What to do about missing trials."""
        return self.remedy or REMEDY

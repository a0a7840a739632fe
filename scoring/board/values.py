"""What a leaderboard consists of: rows of cells, performance profiles, warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.names import Axis, Score


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one submission did on one workload. A cell without trials is a miss with `studies` 0.

    `time_s`, `steps`, `examples`: seconds, updates and examples to the target, each the median over studies of the
    trial that decided the study, None for a miss. `reached`: whether that median exists, so more than half of the
    studies reached the target. `value`: the one of the three that the board ranks by. `ratio`: value / reference's
    value (or the reference's budget where it missed), None for a miss. `credit`: in [0, 1], what the cell adds to
    the score before the mean, None on a held-out workload, whose part is to make a miss of its base; with the
    ladder score the speed-up there, None on a workload without a ladder. `studies_reached`: None where there is no
    target. `spread`: (max - min) / median over the studies that reached the target, None for fewer than two.
    `sustained`: whether the evaluation after the crossing met the target too, in every study that made one; None
    where no study did.
    `failures`: what broke trials, such as "2 x error in update (my.py:12): ValueError: bad beta". `unsuitable`: why
    the submission is not made for the workload, in its own words, None where it is; such a cell earns what a miss
    does.
    """

    time_s: float | None
    steps: float | None
    examples: float | None
    reached: bool
    value: float | None
    ratio: float | None
    credit: float | None
    studies: int
    studies_reached: int | None
    spread: float | None
    sustained: bool | None
    failures: tuple[str, ...] = ()
    unsuitable: str | None = None


@dataclass(frozen=True, kw_only=True)
class LadderDetails:
    """What a ladder speed-up by time is made of, and how far it carries.

    `in_steps`: the ladder speed-up in steps. `step_time`: the reference's seconds per step over the submission's, a
    geometric mean; the score by time is about the product of the two. `general_low`, `general_high`: the 95 %
    interval of the score on workloads like these, None for fewer than two.
    """

    in_steps: float | None
    step_time: float | None
    general_low: float | None
    general_high: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One submission on the board.

    `rank`: 1 is best, equal scores share a rank. `score_low`, `score_high`: 95 % interval, None where a single
    study cannot tell. `p_ahead_of_next`: the probability that its score is above that of the row below, None in the
    last row. `tie_group`: 1 for the submissions that cannot be distinguished from the first, 2 for the next ones.
    `speedup`: geometric mean of reference / submission over the workloads that both reached, None where there is
    none; the ladder score itself is one. `studies`, `studies_reached`: over all workloads that have a target, None
    reached where none has. `ladder`: of the ladder score alone.
    """

    submission: str
    rank: int
    score: float
    score_low: float | None
    score_high: float | None
    p_ahead_of_next: float | None
    tie_group: int
    speedup: float | None
    studies: int
    studies_reached: int | None
    ladder: LadderDetails | None
    workloads: Mapping[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Performance profiles: the share of workloads solved within tau times the fastest submission's value.

    `taus`: an even grid on [1, 4]. `curves`: a submission's share at each tau. `corners`: the same curve
    exactly, as (tau, share) pairs where it steps up, in rising order.
    """

    taus: tuple[float, ...]
    curves: Mapping[str, tuple[float, ...]]
    corners: Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard; rows best first.

    `score`: a name in scoring.rules. `by`: "time", "steps" or "examples". `interpolated`: as in BoardQuery.
    `studies`: the most studies that any cell has. `trials`: records used. `code`: the versions of Pacer that made
    them. `detectable`: the smallest speed-up over the reference that so many studies tell from 1 with a probability
    of 80 %, None where that is not known (scoring.noise).
    """

    suite: str
    ruleset: str
    hardware: str
    fingerprint: str
    reference: str
    score: Score
    by: Axis
    interpolated: bool
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    profile: Profile
    studies: int
    trials: int
    code: tuple[str, ...]
    detectable: float | None = None

    @property
    def workloads(self) -> tuple[str, ...]:
        """The workloads in the board's order."""
        return tuple(self.rows[0].workloads) if self.rows else ()

    def as_json(self) -> dict[str, Any]:
        """The board as plain values that are strict JSON: a number that is not finite becomes None."""
        return {
            "suite": self.suite,
            "ruleset": self.ruleset,
            "hardware": self.hardware,
            "reference": self.reference,
            "score": self.score,
            "by": self.by,
            "interpolated": self.interpolated,
            "detectable": self.detectable,
            "rows": [_plain(vars(row)) for row in self.rows],
            "warnings": list(self.warnings),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Cell | LadderDetails):  # vars, as dataclasses.asdict copies every value
        return _plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""A claim, and what the measured speed-up of the submission over its baseline says of it.

The speed-up is that of paired ladders (scoring.versus): how much sooner the algorithm comes to the same values than
its baseline, study by study, a geometric mean over the workloads that both are made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scoring.versus import Speedup

LEVEL = 0.8
"""A claim to be level with the baseline holds where this speed-up or more is sure."""

SETS = {"tuned": "", "literature": "@literature"}
"""The sets of defaults, and what is behind a submission's name on the board for each."""


class Expects(StrEnum):
    """What a claim lets one expect of times to target."""

    FASTER = "faster"
    LEVEL = "level"
    NOTHING = "nothing"


class Verdict(StrEnum):
    HELD_UP = "held up"
    DID_NOT = "did not hold up"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper claims of the submission `name` against another one. `state_bytes` a parameter, if measured."""

    name: str
    about: str
    paper: str
    variant: str
    claim: str
    against: str
    expects: Expects
    state_bytes: float | None

    @property
    def bound(self) -> float | None:
        """The speed-up that it lets one expect at least, None where it says nothing of speed."""
        return {Expects.FASTER: 1.0, Expects.LEVEL: LEVEL, Expects.NOTHING: None}[self.expects]

    def verdict(self, measured: Speedup) -> Verdict | None:
        """Whether the interval lies on one side of what the claim lets expect; None for one that says nothing of
        speed."""
        if self.bound is None:
            return None
        if measured.low is None or measured.high is None:
            return Verdict.CANNOT_TELL
        if measured.low > self.bound:
            return Verdict.HELD_UP
        return Verdict.DID_NOT if measured.high < self.bound else Verdict.CANNOT_TELL

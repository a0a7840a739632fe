"""The names that a board is asked for by, as types that import nothing: the command line offers them as choices."""

from __future__ import annotations

from typing import Literal

Score = Literal["ladder", "anchored", "algoperf", "algoperf-published"]
"""The scores; scoring.rules.RULES says how each is made."""

LADDER: Score = "ladder"
"""The score that needs no targets, and the default: it compares whole curves with the reference's."""


def needs_targets(score: Score | None) -> bool:
    """Whether a score, None for the default, is of times to targets."""
    return score not in (None, LADDER)


Axis = Literal["time", "steps", "examples"]
"""What boards rank by; scoring.times.AXES says where an evaluation has it."""

"""The numbers and names of the protocol that scores and the harness share."""

from __future__ import annotations

REFERENCE = "nadamw"
"""The submission that others are compared with: budgets count its steps, anchored scores divide its times."""

BUDGET_FACTOR = {"external": 1.25, "self": 1.25 * 1.5}
"""Submission time allowed by ruleset, in units of step hint x the reference's seconds per step."""

"""The names and numbers of the protocol that both sides need: the harness, which measures, and scoring."""

from __future__ import annotations

from enum import StrEnum

REFERENCE = "nadamw"
"""The submission whose step time budgets are counted in, and to whose times anchored scores are relative."""

RULESETS = ("self", "external")
"""AlgoPerf's two: a submission tunes itself within one trial, or a study's trials search its space."""

BUDGET_FACTOR = {"external": 1.25, "self": 1.25 * 1.5}
"""By ruleset, the submission time allowed in units of step hint x the reference's step time."""


class Guard(StrEnum):
    """One thing that the kernel keeps a player from."""

    FILES = "files"  # reading others' files, writing any but in its scratch folder
    PROCESSES = "processes"  # signalling processes of others, looking into them, or taking their cores
    NETWORK = "network"


class Account(StrEnum):
    """What a trial's time is spent on. Set-up and training are on the submission's clock, the rest is off it."""

    START = "start"  # the player starts, warms up the workload's own code, loads the submission and its checkpoint
    SETUP = "setup"  # configure
    TRAINING = "training"  # everything else that the submission does
    OTHERS = "others"  # the submission could have gone on, and its cores worked for other processes
    PAUSED = "paused"  # the player is being stopped or continued
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    LOGGING = "logging"


ON_CLOCK = (Account.SETUP, Account.TRAINING)
"""The accounts whose sum is submission time."""

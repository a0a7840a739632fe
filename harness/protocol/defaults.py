"""What a bench does that is told nothing else."""

from __future__ import annotations

from enum import StrEnum

from scoring.records.protocol import REFERENCE

DEFAULT_SUBMISSIONS = (REFERENCE, "adamw", "nesterov", "schedule_free_adamw")
DEFAULT_SUITE = "mini"
DEFAULT_WORKLOADS = ("flights_dlrm", "mnist_resnet", "molecules_gnn", "shakespeare_gpt")
"""What a bench runs that names neither suite nor workloads: embeddings, convolution, graphs, attention."""
DEFAULT_STUDIES = 3
DEFAULT_MOST_STUDIES = 10
"""What a submission gets at most where studies are spent adaptively."""
DEFAULT_TRIALS = {"external": 5, "self": 1}
DEFAULT_MIRROR_S = 120.0
"""Seconds that a call may take to bring MLflow up to date; the next one goes on."""


class Stop(StrEnum):
    """The policies by which trials stop before their budget, the most careful first; racing.POLICIES has what each
    does."""

    OWN_STUDY = "own-study"
    MISSED = "missed"
    EXACT = "exact"
    FORECAST = "forecast"
    LADDER = "ladder"


DEFAULT_STOP = Stop.OWN_STUDY


class Spend(StrEnum):
    """How studies are spent: each submission gets as many, or they go where they decide (scoring.spend)."""

    EVEN = "even"
    ADAPTIVE = "adaptive"

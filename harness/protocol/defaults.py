"""The numbers of the protocol that users may know by name."""

from __future__ import annotations

REFERENCE = "nadamw"
"""The submission that sets the pace: budgets count its steps, anchored scores are relative to its times."""

DEFAULT_SUBMISSIONS = (REFERENCE, "adamw", "nesterov", "schedule_free_adamw")
DEFAULT_SUITE = "mini"
DEFAULT_STOP = "own-study"
DEFAULT_WORKLOADS = ("flights_dlrm", "mnist_resnet", "molecules_gnn", "shakespeare_gpt")
"""What a bench runs that names neither suite nor workloads: embeddings, convolution, graphs, attention."""
BUDGET_FACTOR = {"external": 1.25, "self": 1.25 * 1.5}
"""Submission time allowed, in units of step hint x the reference's seconds per step."""
DEFAULT_TRIALS = {"external": 5, "self": 1}
DEFAULT_MIRROR_S = 120.0
"""Seconds that a call may take to bring MLflow up to date; the next one goes on."""

"""What the user asked a bench for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.protocol.defaults import DEFAULT_STOP, DEFAULT_SUBMISSIONS, Stop
from harness.system.sandbox import DEFAULT_LIMITS, Limits
from pacer import paths
from scoring.records.layout import SINGLE, Layout


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for. `trials` counts hyperparameter points a study; `results` and `data` are folders.

    `variants` counts the variants to be drawn; `variant_seed` None draws them with the seed of the results folder.
    `checkpoint_s` is how often a trial keeps where it stands. `hardware` is the fingerprint of the nodes to measure
    on, None for those with the most devices. `stop` names the policy by which trials stop before
    their budget, one of harness.protocol.racing.POLICIES. `layout` is that of each trial. `needs_targets`: whether
    a workload without a target is refused, as its trials cannot be scored.
    """

    suite: str = "mini"
    submissions: tuple[str, ...] = DEFAULT_SUBMISSIONS
    workloads: tuple[str, ...] | None = None
    variants: int = 0
    variant_seed: int | None = None
    studies: int = 3
    trials: int = 1
    ruleset: str = "self"
    seed: int = 0
    stop: Stop = DEFAULT_STOP
    results: Path = field(default_factory=paths.default_results)
    data: Path = field(default_factory=paths.default_data)
    ray_address: str | None = None
    hardware: str | None = None
    limits: Limits = DEFAULT_LIMITS
    checkpoint_s: float = 60.0
    layout: Layout = SINGLE
    needs_targets: bool = True

"""What a player's process is given to start with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.system.sandbox import SandboxSpec
from submissions.registry import SubmissionRef


@dataclass(frozen=True, kw_only=True)
class PlayerSpec:
    """One player of a trial. The first two fields are for the process itself and not for the submission.

    `workload` is its suite and its name, `data` the folder of its splits, `scale` the factors of its horizon and
    its batch size. `point` numbers the hyperparameter point of the sequence that `points_seed` starts; `hp` stands
    in its place where the trial orders one. A trial over several devices has as many players, `ranks`, and this is
    number `rank`; ranks on several machines meet at `host`, the first one's. `core` is where the process is
    pinned. The model is `compiled` before anything of the submission runs.
    """

    workload: tuple[str, str]
    data: Path
    submission: SubmissionRef
    searches: bool
    hp: Mapping[str, object] | None
    point: int
    points_seed: int
    seed: int
    data_seed: int
    budget_s: float
    core: int | None
    sandbox_spec: SandboxSpec
    rank: int = 0
    ranks: int = 1
    compiled: bool = False
    host: str | None = None
    scale: tuple[float, float] = (1.0, 1.0)

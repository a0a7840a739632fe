"""What a bench has to run: submissions x workloads x studies x trials, minus what is recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness import machine
from harness.machine import ROOT
from harness.rules import BUDGET_FACTOR, DEFAULT_STOP, DEFAULT_SUBMISSIONS
from harness.sandbox import DEFAULT_LIMITS, Limits
from harness.stopping import NEVER, StopRule
from submissions.registry import SubmissionRef
from workloads.base import Workload


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for. `trials` counts hyperparameter points a study; `results` and `data` are folders.

    `variants` counts the variants to be drawn; `variant_seed` None draws them with the seed of the results folder.
    `checkpoint_s` is how often a trial keeps where it stands. `hardware` is the fingerprint of the nodes to measure
    on, None for those with the most devices. `stop` names the policy by which trials stop before
    their budget, one of harness.racing.POLICIES. `devices` counts those of one trial; `compiled` models are made so
    by torch.compile.
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
    stop: str = DEFAULT_STOP
    results: Path = ROOT / "results"
    data: Path = ROOT / ".data"
    ray_address: str | None = None
    hardware: str | None = None
    limits: Limits = DEFAULT_LIMITS
    checkpoint_s: float = 60.0
    devices: int = 1
    compiled: bool = False


class Place(NamedTuple):
    """Which of a bench's trials one is."""

    workload: str
    submission: str
    study: int
    trial: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run. Times in seconds of submission time.

    Evaluations come every `evaluation_period_s`, or every `evaluate_every` steps where that is given, or at the
    steps `borders`, of which the last ends the trial, whatever the clock says. `rule` may stop the trial before its
    budget. `hp` overrides the ruleset's point. Without `stop_at_target` the trial goes on to its budget or to
    `max_steps`. `hidden` are folders that a submission must not read. `checkpoint` is the file in which the trial
    keeps where it stands, every `checkpoint_every_s` seconds on the wall, None for nowhere. `code` is the
    version of Pacer that ordered it, None for the one that runs it: nodes of a cluster get the code without git.
    So many `devices` share each batch. A model may be `compiled` before the clock runs.
    """

    suite: str
    workload: str
    submission: SubmissionRef
    ruleset: str
    seed: int
    study: int
    trial: int
    budget_s: float
    evaluation_period_s: float
    data: Path
    rule: StopRule = NEVER
    max_steps: int | None = None
    evaluate_every: int | None = None
    borders: tuple[int, ...] = ()
    stop_at_target: bool = True
    hp: Mapping[str, Any] | None = None
    limits: Limits = DEFAULT_LIMITS
    hidden: tuple[Path, ...] = ()
    checkpoint: Path | None = None
    checkpoint_every_s: float = 60.0
    code: str | None = None
    devices: int = 1
    compiled: bool = False

    @property
    def place(self) -> Place:
        """Which of its bench's trials it is."""
        return Place(self.workload, self.submission.name, self.study, self.trial)

    def key(self, workload: Workload, fingerprint: str) -> tuple[str | int, ...]:
        """The key that this trial's record will have on hardware of this fingerprint."""
        return (
            self.suite, self.workload, results_hash(workload), self.submission.name, self.submission.hash,
            self.ruleset, self.seed, self.study, self.trial, fingerprint,
        )  # fmt: skip


def checkpoint_path(settings: Settings, key: tuple[str | int, ...]) -> Path:
    """The file in which a trial that was not finished keeps where it stands, by the key of its record."""
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return settings.results.absolute() / settings.suite / "checkpoints" / f"{name}.checkpoint"


def results_hash(workload: Workload) -> str:
    """Names a workload together with its target: results under another one are other results."""
    return f"{workload.definition()}@{workload.target}"


def plan(
    settings: Settings,
    workloads: Sequence[Workload],
    submissions: Sequence[SubmissionRef],
    seconds_per_step: Mapping[str, float],
    recorded: Collection[tuple[str | int, ...]],
    fingerprint: str,
) -> list[Trial]:
    """The trials to run, whole studies first, so that a board made half-way compares like with like.

    `seconds_per_step` is the reference's, by workload name. Within a study the longest come first, so that no
    device ends the bench alone with a long one.
    """
    trials = []
    for study in range(settings.studies):
        for trial in range(settings.trials):
            for workload in sorted(workloads, key=lambda w: -w.step_hint * seconds_per_step[w.name]):
                pace = seconds_per_step[workload.name]
                for submission in submissions:
                    order = Trial(
                        suite=settings.suite,
                        workload=workload.name,
                        submission=submission,
                        ruleset=settings.ruleset,
                        seed=settings.seed,
                        study=study,
                        trial=trial,
                        budget_s=BUDGET_FACTOR[settings.ruleset] * workload.step_hint * pace,
                        evaluation_period_s=workload.steps_per_evaluation * pace,
                        data=settings.data,
                        limits=settings.limits,
                        hidden=(settings.results.absolute(),),
                        code=machine.code_version(),
                        devices=settings.devices,
                        compiled=settings.compiled,
                    )
                    key = order.key(workload, fingerprint)
                    if key not in recorded:
                        path = checkpoint_path(settings, key)
                        trials.append(replace(order, checkpoint=path, checkpoint_every_s=settings.checkpoint_s))
    return trials

"""A trial as it is ordered: what to train, on what, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypedDict, Unpack

from harness.protocol.ending import Ending, EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial_id import TrialId
from harness.system.sandbox import DEFAULT_LIMITS, Limits
from scoring.records import TrialKey
from scoring.records.layout import SINGLE, Layout
from scoring.stopping import StopRule
from submissions.registry import SubmissionRef
from workloads import registry
from workloads.base import Workload


class Overrides(TypedDict, total=False):
    """Fields of a trial that may differ from the settings it is ordered with."""

    suite: str
    ruleset: str
    seed: int
    study: int
    trial: int
    hp: Mapping[str, object] | None
    checkpoint: Path | None
    code: str | None
    layout: Layout


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run.

    `ending` says when the trial is evaluated and how it ends. `hp` replaces the ruleset's hyperparameter point.
    `hidden` are folders that a submission must not read. `checkpoint` is the file in which the trial saves its
    state every `checkpoint_every_s` seconds of wall time, None for nowhere. `code` is the version of Pacer that
    ordered the trial, None for the one that runs it: nodes of a cluster get the code without git.
    """

    suite: str
    workload: str
    submission: SubmissionRef
    ruleset: str
    seed: int
    data: Path
    ending: Ending
    study: int = 0
    trial: int = 0
    hp: Mapping[str, object] | None = None
    limits: Limits = DEFAULT_LIMITS
    hidden: tuple[Path, ...] = ()
    checkpoint: Path | None = None
    checkpoint_every_s: float = 60.0
    code: str | None = None
    layout: Layout = SINGLE

    @classmethod
    def of(
        cls,
        settings: Settings,
        workload: Workload,
        submission: SubmissionRef,
        ending: Ending,
        **overrides: Unpack[Overrides],
    ) -> Self:
        """The trial of a submission on a workload that these settings ask for, but for these `overrides`.

        Without overrides it is the first trial of the first study. The results folder is hidden from it.
        """
        asked: Overrides = {
            "suite": settings.suite,
            "ruleset": settings.ruleset,
            "seed": settings.seed,
            "layout": settings.layout,
        }
        return cls(
            workload=workload.name,
            submission=submission,
            data=settings.data,
            ending=ending,
            limits=settings.limits,
            hidden=(settings.results.absolute(),),
            checkpoint_every_s=settings.checkpoint_s,
            **(asked | overrides),
        )

    @property
    def id(self) -> TrialId:
        """Which of its bench's trials it is."""
        return TrialId(self.workload, self.submission.name, self.study, self.trial)

    def find_workload(self) -> Workload:
        """What it trains, at its horizon and batch size. Raises ValueError where there is no such workload."""
        return registry.find(self.suite, self.workload).scaled(self.layout.horizon, self.layout.batch)

    @property
    def budget_s(self) -> float:
        """The submission time that it may take; the submission knows it."""
        return self.ending.budget_s

    @property
    def evaluation_period_s(self) -> float:
        """The submission time between two evaluations, as its record shows it."""
        period_s = self.ending.period_s
        return self.budget_s if period_s is None else period_s

    def under(self, stop_rule: StopRule) -> Self:
        """The same trial, which this rule may stop before its budget; not for a repeat, which has no such rule."""
        return replace(self, ending=replace(self.ending, stop_rule=stop_rule))

    def key(self, workload: Workload, fingerprint: str) -> TrialKey:
        """The key that this trial's record will have on hardware of this fingerprint."""
        return TrialKey(
            self.suite, self.workload, results_hash(workload), self.submission.name, self.submission.hash,
            self.ruleset, self.seed, self.study, self.trial, fingerprint,
        )  # fmt: skip


def over_horizon(workload: Workload, budget_s: float, *, stop_at_target: bool = True) -> EverySteps:
    """Evaluations as often as the workload has them, up to the end of the reference's horizon."""
    return EverySteps(
        every=workload.evaluation_stride, last=workload.step_hint, budget_s=budget_s, stop_at_target=stop_at_target
    )


def results_hash(workload: Workload) -> str:
    """Names a workload together with its target: results under another one are other results."""
    return f"{workload.definition()}@{workload.target}"

"""A trial as it is ordered: what to train, on what, and by which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.protocol.trial_id import TrialId
from harness.system.sandbox import DEFAULT_LIMITS, Limits
from scoring.records.layout import SINGLE, Layout
from scoring.stopping import NEVER, StopRule
from submissions.registry import SubmissionRef
from workloads.base import Workload


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run. Times in seconds of submission time.

    Evaluations come every `evaluation_period_s`, or every `evaluate_every` steps where that is given, or at the
    steps `eval_steps`, of which the last ends the trial, whatever the clock says. `rule` may stop the trial
    before its
    budget. `hp` overrides the ruleset's point. Without `stop_at_target` the trial goes on to its budget or to
    `max_steps`. `hidden` are folders that a submission must not read. `checkpoint` is the file in which the trial
    keeps where it stands, every `checkpoint_every_s` seconds on the wall, None for nowhere. `code` is the
    version of Pacer that ordered it, None for the one that runs it: nodes of a cluster get the code without git.
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
    eval_steps: tuple[int, ...] = ()
    stop_at_target: bool = True
    hp: Mapping[str, Any] | None = None
    limits: Limits = DEFAULT_LIMITS
    hidden: tuple[Path, ...] = ()
    checkpoint: Path | None = None
    checkpoint_every_s: float = 60.0
    code: str | None = None
    layout: Layout = SINGLE

    @property
    def id(self) -> TrialId:
        """Which of its bench's trials it is."""
        return TrialId(self.workload, self.submission.name, self.study, self.trial)

    def key(self, workload: Workload, fingerprint: str) -> tuple[str | int, ...]:
        """The key that this trial's record will have on hardware of this fingerprint."""
        return (
            self.suite, self.workload, results_hash(workload), self.submission.name, self.submission.hash,
            self.ruleset, self.seed, self.study, self.trial, fingerprint,
        )  # fmt: skip


def results_hash(workload: Workload) -> str:
    """Names a workload together with its target: results under another one are other results."""
    return f"{workload.definition()}@{workload.target}"

"""What a running bench knows of its trials so far, and the rules that its stopping policy makes of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from harness.protocol.defaults import Stop
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial, results_hash
from scoring.records import Record, Stored
from scoring.records.protocol import REFERENCE
from scoring.stopping import (
    NEVER,
    AllOf,
    FinishedTrial,
    Missed,
    OwnStudy,
    Policy,
    Slow,
    StopRule,
    TrialContext,
    exact_policies,
    finished_trial,
    forecast_policies,
)
from submissions.registry import SubmissionRef
from workloads.base import Workload

POLICIES: dict[Stop, Policy] = {
    Stop.OWN_STUDY: OwnStudy(),
    Stop.MISSED: AllOf((OwnStudy(), Missed())),
    Stop.EXACT: exact_policies(REFERENCE),
    Stop.FORECAST: forecast_policies(exact_policies(REFERENCE)),
    Stop.LADDER: AllOf((OwnStudy(), Slow(REFERENCE))),
}
"""By the name in the settings."""

_LOOK_AT_CURVES = {Stop.FORECAST, Stop.LADDER}
"""Those that do; the others are spared the memory."""

_NEED_NO_TARGET = {Stop.LADDER}
"""The others go by times to the target: where there is none, they would take each trial for a miss."""


class Race:
    """The finished trials of a bench's own submissions and workloads, and its policy."""

    def __init__(
        self,
        settings: Settings,
        workloads: Sequence[Workload],
        submissions: Sequence[SubmissionRef],
        fingerprint: str,
        recorded: Iterable[Stored] = (),
    ) -> None:
        self._policy = POLICIES[settings.stop]
        self._curves = settings.stop in _LOOK_AT_CURVES
        self._fingerprint = fingerprint
        self._settings = settings
        self._workloads = {workload.name: workload for workload in workloads}
        self._bases = {workload.variant_of for workload in workloads}
        self._versions = {(s.hash, results_hash(w)) for s in submissions for w in workloads}
        self._finished: defaultdict[tuple[str, str], list[FinishedTrial]] = defaultdict(list)
        for each in recorded:
            self.remember(each)

    def remember(self, recorded: Stored) -> None:
        """Takes in a trial that was recorded before, if it is of the submissions and workloads as they are now."""
        record = recorded.record
        own = (record.submission_hash, record.workload_hash) in self._versions
        if own and record.fingerprint == self._fingerprint and record.ruleset == self._settings.ruleset:
            self.note(record)

    def note(self, record: Record) -> None:
        """Takes in a trial that has finished."""
        self._finished[record.submission, record.workload].append(finished_trial(record, curve=self._curves))

    def rule(self, trial: Trial) -> StopRule:
        """When a trial that is about to start may stop."""
        workload = self._workloads[trial.workload]
        if workload.target is None and self._settings.stop not in _NEED_NO_TARGET:
            return NEVER
        context = TrialContext(
            submission=trial.submission.name,
            workload=trial.workload,
            seed=trial.seed,
            study=trial.study,
            studies=self._settings.studies,
            trials=self._settings.trials,
            higher_is_better=workload.metric.higher_is_better,
            budget_s=trial.budget_s,
            variant_of=workload.variant_of,
            has_variants=trial.workload in self._bases,
        )
        return self._policy.rule(context, self._finished)

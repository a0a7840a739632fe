"""The course of a trial: what its referee has seen so far, and the record that comes of it."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.protocol.trial import Trial, results_hash
from harness.system import machine
from harness.trial.clock import CLOCK_GRACE_S, CLOCK_TOLERANCE, Stopwatch, wall_clock
from harness.trial.player_handle import MeasurementInvalid
from scoring.records import Evaluation, Failure, Outcome, Record
from workloads.base import Workload


@dataclass
class TrialState:
    """What the referee has seen of a trial so far. What it needs to go on is plain values, for checkpoints."""

    watch: Stopwatch
    outcome: Outcome | None = None
    failure: Failure | None = None
    hp: Mapping[str, Any] | None = None
    reason: str | None = None
    batch_size: int = 0
    parameters: int = 0
    state_bytes: int | None = None
    guards: tuple[str, ...] = ()
    resumed: int = 0
    contention_s: float | None = None
    started: float = field(default_factory=time.time)
    wall_before_s: float = 0.0
    wall_from: float = field(default_factory=wall_clock)
    saved_at: float = field(default_factory=wall_clock)
    clock_started: float = 0.0
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def wall_s(self) -> float:
        """Seconds by the wall's clock that the trial has taken, those before it was interrupted included."""
        return self.wall_before_s + wall_clock() - self.wall_from

    def facts(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        return {
            "evaluations": [vars(evaluation) for evaluation in self.evaluations],
            "state_bytes": self.state_bytes,
            "resumed": self.resumed,
            "contention_s": self.contention_s,
            "started": self.started,
            "clock_started": self.clock_started,
            "wall_s": self.wall_s,
            "ledger": self.watch.ledger(),
        }

    def record(self, trial: Trial, workload: Workload, test_value: float | None) -> Record:
        """The trial's record. Raises Disturbed where the ledger is not the time that went by."""
        ledger, wall_s = self.watch.ledger(), self.wall_s
        booked = sum(seconds for _, seconds in ledger)
        if abs(booked - wall_s) > max(CLOCK_TOLERANCE * wall_s, CLOCK_GRACE_S):
            raise MeasurementInvalid(
                f"the ledger holds {booked:.3f} s of {wall_s:.3f} s: the machine slept or its clock jumped"
            )
        hardware = machine.hardware(trial.layout)
        return Record(
            suite=trial.suite,
            workload=workload.name,
            submission=trial.submission.name,
            ruleset=trial.ruleset,
            seed=trial.seed,
            study=trial.study,
            trial=trial.trial,
            workload_hash=results_hash(workload),
            submission_hash=trial.submission.hash,
            outcome=self.outcome,
            evaluations=self.evaluations,
            metric=workload.metric.name,
            higher_is_better=workload.metric.higher_is_better,
            target=workload.target if trial.stop_at_target else None,
            test_value=test_value,
            hp=self.hp or {},
            step_hint=workload.step_hint,
            batch_size=self.batch_size,
            budget_s=trial.budget_s,
            evaluation_period_s=trial.evaluation_period_s,
            ledger=ledger,
            wall_s=wall_s,
            started=self.started,
            clock_started=self.clock_started,
            ended=time.time(),
            device=hardware.device,
            worker=f"{platform.node()}:{os.getpid()}",
            hardware=str(hardware),
            fingerprint=hardware.fingerprint,
            versions=machine.versions(),
            code=_code(trial),
            failure=self.failure,
            variant_of=workload.variant_of,
            reason=self.reason,
            parameters=self.parameters,
            state_bytes=self.state_bytes,
            guards=self.guards,
            resumed=self.resumed,
            contention_s=self.contention_s,
            devices=trial.layout.devices,
            machines=trial.layout.machines,
            compiled=trial.layout.compiled,
        )


def identity(trial: Trial, workload: Workload) -> str:
    """What must be the same for a trial to go on from a checkpoint."""
    key = trial.key(workload, machine.hardware(trial.layout).fingerprint)
    return json.dumps([*key, trial.budget_s, trial.evaluation_period_s, machine.versions(), _code(trial)])


def _code(trial: Trial) -> str:
    return trial.code or machine.code_version()

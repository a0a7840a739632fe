"""What the referee knows of a running trial, and the record that it becomes."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from harness.player.messages import EvalReady
from harness.protocol.ending import Ended
from harness.protocol.trial import Trial, results_hash
from harness.system import machine
from harness.trial.clock import Stopwatch, adds_up, wall_clock
from harness.trial.player_handle import MeasurementInvalid
from scoring.records import Evaluation, Record
from workloads.base import Workload
from workloads.metrics import EvalResult


class Facts(TypedDict):
    """What a checkpoint holds of a trial beside weights and players: plain values, as JSON holds them."""

    evaluations: Sequence[Mapping[str, Any]]
    state_bytes: int | None
    resumed: int
    contention_s: float | None
    waited_s: float | None
    started: float
    clock_started: float
    wall_s: float
    ledger: Sequence[tuple[str, float]]


@dataclass
class TrialState:
    """What the referee has seen of a trial so far; `facts` gives what it needs to go on, `resume` takes that up."""

    watch: Stopwatch
    hp: Mapping[str, object] | None = None
    batch_size: int = 0
    parameters: int = 0
    state_bytes: int | None = None
    guards: tuple[str, ...] = ()
    resumed: int = 0
    contention_s: float | None = None
    waited_s: float | None = None
    started: float = field(default_factory=time.time)
    wall_before_s: float = 0.0
    wall_from: float = field(default_factory=wall_clock)
    clock_started: float = 0.0
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def wall_s(self) -> float:
        """Seconds by the wall's clock that the trial has taken, those before it was interrupted included."""
        return self.wall_before_s + wall_clock() - self.wall_from

    @property
    def last_step(self) -> int:
        """The step of the last evaluation, 0 before the first."""
        return self.evaluations[-1].step if self.evaluations else 0

    def note(self, ready: EvalReady, time_s: float, result: EvalResult) -> None:
        """Adds an evaluation at this submission time."""
        if ready.state_bytes is not None:
            self.state_bytes = ready.state_bytes
        self.evaluations += (
            Evaluation(
                step=ready.step,
                examples=ready.examples,
                time_s=time_s,
                value=result.value,
                train_loss=ready.train_loss,
                extra_metrics=result.extra_metrics,
            ),
        )

    def facts(self) -> Facts:
        """What a checkpoint holds of this."""
        return {
            "evaluations": [vars(evaluation) for evaluation in self.evaluations],
            "state_bytes": self.state_bytes,
            "resumed": self.resumed,
            "contention_s": self.contention_s,
            "waited_s": self.waited_s,
            "started": self.started,
            "clock_started": self.clock_started,
            "wall_s": self.wall_s,
            "ledger": self.watch.ledger(),
        }

    def resume(self, facts: Facts) -> None:
        """Goes on from where the `facts` of an interrupted trial were taken."""
        self.evaluations = tuple(Evaluation(**each) for each in facts["evaluations"])
        self.state_bytes = facts["state_bytes"]
        self.started, self.clock_started = facts["started"], facts["clock_started"]
        self.resumed = facts["resumed"] + 1
        self.contention_s, self.waited_s = facts["contention_s"], facts["waited_s"]
        self.wall_before_s = facts["wall_s"]
        self.watch.resume(facts["ledger"])

    def record(self, trial: Trial, workload: Workload, ended: Ended, test_value: float | None) -> Record:
        """The record of a trial that ended so. Raises MeasurementInvalid where the ledger is not the time that
        passed."""
        ledger, wall_s = self.watch.ledger(), self.wall_s
        booked_s = sum(seconds for _, seconds in ledger)
        if not adds_up(booked_s, wall_s):
            raise MeasurementInvalid(
                f"the ledger holds {booked_s:.3f} s of {wall_s:.3f} s: the machine slept or its clock jumped"
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
            outcome=ended.outcome,
            evaluations=self.evaluations,
            metric=workload.metric.name,
            higher_is_better=workload.metric.higher_is_better,
            target=workload.target if trial.ending.stop_at_target else None,
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
            failure=ended.failure,
            variant_of=workload.variant_of,
            reason=ended.reason,
            parameters=self.parameters,
            state_bytes=self.state_bytes,
            guards=self.guards,
            resumed=self.resumed,
            contention_s=self.contention_s,
            waited_s=self.waited_s,
            devices=trial.layout.devices,
            machines=trial.layout.machines,
            compiled=trial.layout.compiled,
            horizon=trial.layout.horizon,
            batch=trial.layout.batch,
        )


def identity(trial: Trial, workload: Workload) -> str:
    """What must be the same for a trial to go on from a checkpoint."""
    key = trial.key(workload, machine.hardware(trial.layout).fingerprint)
    return json.dumps([*key, trial.budget_s, trial.evaluation_period_s, machine.versions(), _code(trial)])


def _code(trial: Trial) -> str:
    return trial.code or machine.code_version()

"""What a trial leaves behind: a frozen value with its raw numbers, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pacer.target import Target
from scoring.records.curve import Curve
from scoring.records.key import TrialKey
from scoring.records.layout import Layout
from scoring.records.protocol import ON_CLOCK

SCHEMA = 4
"""The version of a record's fields. Whoever adds, renames or drops one raises it and adds to migrations.py."""


class Outcome(StrEnum):
    """How a trial ended."""

    REACHED = "reached"  # an evaluation met the target
    BUDGET = "budget"  # the budget ran out first
    COMPLETE = "complete"  # the submission said it was done, or the asked number of steps was made
    OUTRUN = "outrun"  # another trial of its study was faster already, so it could not change the result
    SETTLED = "settled"  # no time of its could change the median over studies, or nothing hung on that median
    CUT = "cut"  # so slow that it would have earned nothing
    UNPROMISING = "unpromising"  # foreseen to miss the target, which is not certain
    DIVERGED = "diverged"  # the loss or the metric stopped being a finite number
    ERROR = "error"  # the submission raised, exited or broke the rules
    UNSUITABLE = "unsuitable"  # the submission said that it cannot run on such a workload by its nature


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The validation metric after `step` updates and `examples` examples, at submission time `time_s`.

    `value` is None where the metric was not a finite number. `train_loss` is the mean of the losses returned by
    `update` since the last evaluation, None likewise. `extra_metrics` holds further metrics by name.
    """

    step: int
    examples: int
    time_s: float
    value: float | None
    train_loss: float | None
    extra_metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a trial broke: the hook, and for an exception its type, text, place in the submission and traceback;
    `output` is the end of what the submission printed."""

    hook: str
    kind: str
    message: str
    file: str | None = None
    line: int | None = None
    traceback: str | None = None
    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One trial. Times in seconds; `time_s` of evaluations is submission time, `wall_s` that of the whole trial.

    `ledger` lists (account, seconds) in the order in which they were spent. `fingerprint` names the hardware that
    the trial is comparable on. `variant_of` names the workload that this one is a variant of. `target` is None only
    while targets are being set. `started`, `clock_started` and `ended` are Unix times; `worker` is the host and
    process of the referee. `reason` is the sentence on why a trial ended before it began. `parameters` counts the
    model's; `state_bytes` is what the submission keeps beside them, at the first evaluation. `guards` names what
    the kernel kept the submission from, none where it could do as it liked, None where that is not known; `resumed`
    counts how often the trial went on from a checkpoint. `contention_s` are the seconds that its cores, on average,
    worked for others while its clock ran, up to the last evaluation; None where that is not known. `waited_s` of
    these came off its clock, as it could have gone on meanwhile; None where its clock is the wall's. `skipped`
    evaluations came before those that are here, in an archive. `curve` is the learning curve where evaluations are
    left out. `devices`, `machines`, `compiled`, `horizon`, `batch`: its layout. `step_hint` is that at its horizon.
    """

    suite: str
    workload: str
    submission: str
    ruleset: str
    seed: int
    study: int
    trial: int
    workload_hash: str
    submission_hash: str
    outcome: Outcome
    evaluations: tuple[Evaluation, ...]
    metric: str
    higher_is_better: bool
    target: float | None
    test_value: float | None
    hp: Mapping[str, Any]
    step_hint: int
    batch_size: int
    budget_s: float
    evaluation_period_s: float
    ledger: tuple[tuple[str, float], ...]
    wall_s: float
    started: float
    clock_started: float
    ended: float
    device: str
    hardware: str
    fingerprint: str
    versions: Mapping[str, str]
    code: str
    worker: str = ""
    failure: Failure | None = None
    variant_of: str | None = None
    reason: str | None = None
    parameters: int | None = None
    state_bytes: int | None = None
    guards: tuple[str, ...] | None = None
    resumed: int = 0
    contention_s: float | None = None
    waited_s: float | None = None
    skipped: int = 0
    curve: Curve | None = None
    devices: int = 1
    machines: int = 1
    compiled: bool = False
    horizon: float = 1.0
    batch: float = 1.0
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"a record of schema {self.schema}, expected {SCHEMA}")
        for before, after in zip(self.evaluations, self.evaluations[1:], strict=False):
            if after.time_s < before.time_s or after.step < before.step:
                raise ValueError(f"evaluations go back in time: {before} then {after}")
        for evaluation in self.evaluations:
            if evaluation.value is not None and not math.isfinite(evaluation.value):
                raise ValueError(f"{evaluation}: a value is a finite number or None")

    @property
    def key(self) -> TrialKey:
        """What identifies the trial: a second record with the same key repeats the first."""
        return TrialKey(
            self.suite, self.workload, self.workload_hash, self.submission, self.submission_hash,
            self.ruleset, self.seed, self.study, self.trial, self.fingerprint,
        )  # fmt: skip

    @property
    def layout(self) -> Layout:
        """How it was run."""
        return Layout(
            devices=self.devices,
            machines=self.machines,
            compiled=self.compiled,
            horizon=self.horizon,
            batch=self.batch,
        )

    def learning_curve(self) -> Curve:
        """The best value so far over the trial; in an archive of schema 2 it starts after `skipped` evaluations."""
        return self.curve or Curve.of(self.evaluations, higher_is_better=self.higher_is_better)

    @property
    def crossing(self) -> Evaluation | None:
        """The first evaluation that met the target, or None."""
        return next((evaluation for evaluation in self.evaluations if self.meets(evaluation.value)), None)

    def meets(self, value: float | None) -> bool:
        """Whether a value of the metric meets the target, if there are both."""
        return Target(self.target, self.higher_is_better).met(value)

    @property
    def contention_share(self) -> float | None:
        """What others took of its cores' time, as a share of the wall's time while its clock ran, up to its last
        evaluation; None for unknown."""
        if self.contention_s is None or not self.evaluations or not self.evaluations[-1].time_s:
            return None
        return self.contention_s / (self.evaluations[-1].time_s + (self.waited_s or 0.0))

    @property
    def busy(self) -> bool:
        """Whether others took so much of its cores' time that its own tells less of the submission: by the wall's
        clock all of that is in it, and by the cores' what caches and a lower turbo cost."""
        return (self.contention_share or 0.0) > CONTENTION_SHARE and (self.contention_s or 0.0) > _NOISE_S

    @property
    def submission_s(self) -> float:
        """Submission time used by the trial."""
        return sum(seconds for account, seconds in self.ledger if account in ON_CLOCK)


CONTENTION_SHARE = 0.1
"""What others may take of the time of a trial's cores without a word of warning."""

_NOISE_S = 0.1  # the system counts in ticks of 10 ms, and each evaluation ends a stretch


def finite(value: float) -> float | None:
    """The number, None where it is not finite: what records and boards hold for it."""
    return float(value) if math.isfinite(value) else None

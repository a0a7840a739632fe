"""What a trial leaves behind, and the line that says so.

Imports neither torch nor ray, so that scoring can read records anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from pacer.target import Target
from scoring.records.key import TrialKey
from scoring.records.layout import Layout
from scoring.records.protocol import ON_CLOCK

SCHEMA = 1

DIGITS = 32
"""Hexadecimal digits of a digest."""


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
    worked for others while its clock ran, up to the last evaluation; None where that is not known. `skipped`
    evaluations came before those that are here, in an archive. `devices`, `machines`, `compiled`: its layout.
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
    skipped: int = 0
    devices: int = 1
    machines: int = 1
    compiled: bool = False
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"record of schema {self.schema}, this version reads {SCHEMA}")
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
        """How it lay on its hardware."""
        return Layout(devices=self.devices, machines=self.machines, compiled=self.compiled)

    @property
    def crossing(self) -> Evaluation | None:
        """The first evaluation that met the target, or None."""
        return next((evaluation for evaluation in self.evaluations if self.meets(evaluation.value)), None)

    def meets(self, value: float | None) -> bool:
        """Whether a value of the metric meets the target, if there are both."""
        return Target(self.target, self.higher_is_better).met(value)

    @property
    def contention_share(self) -> float | None:
        """What others took of its cores' time, as a share of the time at its last evaluation; None for unknown."""
        if self.contention_s is None or not self.evaluations or not self.evaluations[-1].time_s:
            return None
        return self.contention_s / self.evaluations[-1].time_s

    @property
    def busy(self) -> bool:
        """Whether others took so much of its cores' time that it tells little of the submission."""
        return (self.contention_share or 0.0) > CONTENTION_SHARE and (self.contention_s or 0.0) > _NOISE_S

    @property
    def submission_s(self) -> float:
        """Submission time used by the trial."""
        return sum(seconds for account, seconds in self.ledger if account in ON_CLOCK)


ABSENT: Mapping[str, Any] = {"contention_s": None, "skipped": 0, "devices": 1, "machines": 1, "compiled": False}
"""What a record's line leaves out, being so in many, and in all of earlier versions."""


CONTENTION_SHARE = 0.1
"""What others may take of the time of a trial's cores without a word of warning."""

_NOISE_S = 0.1  # the system counts in ticks of 10 ms, and each evaluation ends a stretch


def finite(value: float) -> float | None:
    """The number, None where it is not finite: what records and boards hold for it."""
    return float(value) if math.isfinite(value) else None


def to_json(record: Record) -> str:
    """One line of strict JSON (no NaN), with a digest of itself at its end."""
    # vars, as dataclasses.asdict copies every number: four times the time, and evaluations may go into millions.
    nested = {
        "evaluations": [vars(e) for e in record.evaluations],
        "failure": record.failure and vars(record.failure),
    }
    fields = vars(record) | nested
    for name, value in ABSENT.items():
        if fields[name] == value:
            del fields[name]
    fields["evaluations"] = [{_IN_LINES.get(k, k): v for k, v in e.items()} for e in fields["evaluations"]]
    fields = {_IN_LINES.get(name, name): value for name, value in fields.items()}
    text = json.dumps(fields, allow_nan=False, separators=(",", ":"))
    return f'{text[:-1]},"digest":"{_digest(text)}"}}'


def from_json(line: str | bytes) -> Record:
    """The record of one line. Raises ValueError where the line is not one, or is not as it was written."""
    text = (line.encode() if isinstance(line, str) else line).strip()
    data = _parsed(text)
    try:
        if (digest := data.pop("digest", None)) is not None:
            checked(text, digest)
        data = renamed(data)
        data["evaluations"] = tuple(Evaluation(**renamed(e)) for e in data["evaluations"])
        data["ledger"] = tuple((account, seconds) for account, seconds in data["ledger"])
        return Record(**typed(data))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a record of this version: {error}") from error


def checked(text: bytes, digest: str) -> str:
    """The digest of a whole line. Raises ValueError unless the one at its end, `digest`, is that of the rest."""
    tail = f',"digest":"{digest}"}}'.encode()
    whole = hashlib.sha256(memoryview(text)[: -len(tail)])
    content = whole.copy()
    content.update(b"}")
    if content.hexdigest()[:DIGITS] != digest or not text.endswith(tail):
        raise ValueError("its content was changed after it was written")
    whole.update(tail)
    return whole.hexdigest()[:DIGITS]


def _parsed(text: bytes) -> Any:
    """The JSON of a line by orjson, in a fifth of the time that json takes; by json where only that reads it as it
    was written: half a surrogate pair, a seed of more than 64 bits."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
    return json.loads(text) if isinstance(data, dict) and isinstance(data.get("seed"), float) else data


_IN_LINES = {"contention_s": "others_s", "extra_metrics": "beside"}
_IN_RECORDS = {old: new for new, old in _IN_LINES.items()}


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    """The same by the names of today's fields."""
    return {_IN_RECORDS.get(name, name): value for name, value in data.items()}


def typed(data: dict[str, Any]) -> dict[str, Any]:
    """The same, with the types of a Record's fields, evaluations and ledger aside."""
    data["outcome"] = Outcome(data["outcome"])
    data["guards"] = None if data.get("guards") is None else tuple(data["guards"])
    data["failure"] = Failure(**data["failure"]) if data["failure"] else None
    return data


def _digest(text: str) -> str:
    """32 hex digits over a record's other content."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def deciding(values: Sequence[float | None], target: Target) -> int:
    """The index of the first value that meets the target, or of the last but one."""
    last = max(0, len(values) - 2)
    return next((index for index, value in enumerate(values) if target.met(value)), last)


def _totals(ledger: Iterable[tuple[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for account, seconds in ledger:
        totals[account] += seconds
    return totals


def compact(record: Record) -> Record:
    """What a board needs of a record: the deciding evaluations, the ledger's totals, times to a tenth of a ms."""
    values = [e.value for e in record.evaluations]
    place = deciding(values, Target(record.target, record.higher_is_better))
    totals = _totals(record.ledger)
    failure = record.failure and replace(record.failure, traceback=None)
    contention_s = None if record.contention_s is None else round(record.contention_s, 4)
    return replace(
        record,
        evaluations=tuple(
            replace(e, time_s=round(e.time_s, 4), extra_metrics={}) for e in record.evaluations[place : place + 2]
        ),
        skipped=record.skipped + place,
        ledger=tuple((account, round(seconds, 4)) for account, seconds in totals.items()),
        failure=failure,
        contention_s=contention_s,
        **{name: round(getattr(record, name), 4) for name in _SECONDS},
    )


_SECONDS = ("budget_s", "evaluation_period_s", "wall_s", "started", "clock_started", "ended")

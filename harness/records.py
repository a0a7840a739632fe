"""What a trial leaves behind, and its file: the source of truth that every score is computed from.

Imports neither torch nor ray, so that scoring can read records anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.errors import RecordsError

SCHEMA = 1


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
    `update` since the last evaluation, None likewise. `beside` holds further metrics by name.
    """

    step: int
    examples: int
    time_s: float
    value: float | None
    train_loss: float | None
    beside: Mapping[str, float | None] = field(default_factory=dict)


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
    counts how often the trial went on from a checkpoint. `skipped` evaluations came before those that are here, in
    an archive. `devices` counts those that shared each batch; `compiled` says whether the model was.
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
    skipped: int = 0
    devices: int = 1
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
    def key(self) -> tuple[str | int, ...]:
        """What identifies a trial: a second record with the same key repeats the first."""
        return (
            self.suite, self.workload, self.workload_hash, self.submission, self.submission_hash,
            self.ruleset, self.seed, self.study, self.trial, self.fingerprint,
        )  # fmt: skip

    @property
    def crossing(self) -> Evaluation | None:
        """The first evaluation that met the target, or None."""
        if self.target is None:
            return None
        for evaluation in self.evaluations:
            if evaluation.value is None:
                continue
            if evaluation.value >= self.target if self.higher_is_better else evaluation.value <= self.target:
                return evaluation
        return None

    @property
    def submission_s(self) -> float:
        """Submission time used by the trial."""
        return sum(seconds for account, seconds in self.ledger if account in ("setup", "training"))


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
    for name in _ABSENT:
        if fields[name] == _ABSENT[name]:
            del fields[name]
    text = json.dumps(fields, allow_nan=False, separators=(",", ":"))
    return f'{text[:-1]},"digest":"{_digest(text)}"}}'


def from_json(line: str) -> Record:
    """The record of one line. Raises ValueError where the line is not one, or is not as it was written."""
    data = json.loads(line)
    try:
        if (digest := data.pop("digest", None)) is not None:
            text = line.strip().removesuffix(f',"digest":"{digest}"}}') + "}"
            if _digest(text) != digest:
                raise ValueError("its content was changed after it was written")
        data["outcome"] = Outcome(data["outcome"])
        data["evaluations"] = tuple(Evaluation(**e) for e in data["evaluations"])
        data["ledger"] = tuple((account, seconds) for account, seconds in data["ledger"])
        data["guards"] = None if data.get("guards") is None else tuple(data["guards"])
        data["failure"] = Failure(**data["failure"]) if data["failure"] else None
        return Record(**data)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a record of this version: {error}") from error


def _digest(text: str) -> str:
    """32 hex digits over a record's other content."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def compact(record: Record) -> Record:
    """What a board needs of a record: the deciding evaluations, the ledger's totals, times to a tenth of a ms."""
    place = max(0, len(record.evaluations) - 2)
    if record.crossing is not None:
        place = record.evaluations.index(record.crossing)
    totals: dict[str, float] = defaultdict(float)
    for account, seconds in record.ledger:
        totals[account] += seconds
    failure = record.failure and replace(record.failure, traceback=None)
    return replace(
        record,
        evaluations=tuple(
            replace(e, time_s=round(e.time_s, 4), beside={}) for e in record.evaluations[place : place + 2]
        ),
        skipped=record.skipped + place,
        ledger=tuple((account, round(seconds, 4)) for account, seconds in totals.items()),
        failure=failure,
        **{name: round(getattr(record, name), 4) for name in _SECONDS},
    )


_ABSENT = {"skipped": 0, "devices": 1, "compiled": False}
"""What a record's line leaves out, being so in nearly all, and in all of earlier versions."""

_SECONDS = ("budget_s", "evaluation_period_s", "wall_s", "started", "clock_started", "ended")


class RecordStore:
    """The records of one results folder: `RESULTS/SUITE/trials.jsonl`, appended to and never rewritten, and an
    archive `trials.jsonl.gz` beside it, if there is one."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / suite
        self.path = self.folder / "trials.jsonl"
        self.archive = self.folder / "trials.jsonl.gz"
        self._lock = FileLock(self.folder / ".trials.lock")

    def append(self, record: Record) -> None:
        """Adds one record, on disk when this returns. Several may write. Raises RecordsError on a full disk."""
        self.extend((record,))

    def extend(self, records: Iterable[Record]) -> None:
        """Adds records as `append` does, each as it comes, all on disk when this returns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock, open(self.path, "a+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size:  # a writer that was killed may have left half a line: it must not swallow the next one
                    file.seek(size - 1)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                for record in records:
                    file.write(to_json(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordsError(
                f"could not write a record to {self.path}: {error}. Finished trials are safe; free the disk "
                "or pass another RESULTS folder, then run the same command again."
            ) from error

    def read(self) -> tuple[list[Record], list[str]]:
        """All records, the first of each key, and a warning for each line that is not one."""
        records: dict[tuple[str | int, ...], Record] = {}
        warnings: list[str] = []
        for path, opened in ((self.archive, gzip.open), (self.path, open)):
            if not path.exists():
                continue
            with opened(path, "rb") as file:
                lines = file.read().split(b"\n")
            for number, line in enumerate(lines, 1):
                if not line:
                    continue
                try:
                    record = from_json(line.decode())
                except ValueError as error:
                    warnings.append(f"{path}:{number} is not a record and was left out ({error})")
                else:
                    records.setdefault(record.key, record)
        return list(records.values()), warnings

    def write_archive(self, records: Iterable[Record]) -> None:
        """Writes the archive anew, compact and sorted: the same records make the same bytes."""
        lines = sorted(to_json(compact(record)) for record in records)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.archive.with_suffix(".partial")
        partial.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
        os.replace(partial, self.archive)

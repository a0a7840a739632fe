"""What a bench has to run: submissions x workloads x studies x trials, minus what is recorded."""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import overload

from harness.protocol.ending import EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial, results_hash
from harness.system import machine
from scoring.records import TrialKey
from scoring.records.protocol import BUDGET_FACTOR
from submissions.registry import SubmissionRef
from workloads.base import Workload


def checkpoint_path(settings: Settings, key: TrialKey) -> Path:
    """The file in which a trial that was not finished saves its state, by the key of its record."""
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return settings.results.absolute() / settings.suite / "checkpoints" / f"{name}.checkpoint"


class Recorded(Container[TrialKey]):
    """The keys of those trials of some settings that are recorded: one byte for each that is asked for."""

    def __init__(
        self,
        settings: Settings,
        workloads: Sequence[Workload],
        submissions: Sequence[SubmissionRef],
        fingerprint: str,
    ) -> None:
        self._settings = settings
        self._fingerprint = fingerprint
        self._cells = {
            (workload.name, results_hash(workload), submission.name, submission.hash): number
            for number, (workload, submission) in enumerate(product(workloads, submissions))
        }
        self._there = bytearray(len(self._cells) * settings.studies * settings.trials)

    def add(self, key: TrialKey) -> None:
        """Notes that a record has this key, if it is one of those."""
        if (index := self._index(key)) is not None:
            self._there[index] = True

    def __contains__(self, key: object) -> bool:
        return isinstance(key, TrialKey) and (index := self._index(key)) is not None and bool(self._there[index])

    def __len__(self) -> int:
        return sum(self._there)

    @property
    def wanted(self) -> int:
        """How many trials the settings ask for."""
        return len(self._there)

    @property
    def missing(self) -> int:
        """How many of them are not recorded."""
        return self.wanted - len(self)

    def _index(self, key: TrialKey) -> int | None:
        wanted = self._settings
        ours = (wanted.suite, wanted.ruleset, wanted.seed, self._fingerprint)
        if (key.suite, key.ruleset, key.seed, key.fingerprint) != ours:
            return None
        cell = self._cells.get((key.workload, key.workload_hash, key.submission, key.submission_hash))
        if cell is None or not (0 <= key.study < wanted.studies and 0 <= key.trial < wanted.trials):
            return None
        return (cell * wanted.studies + key.study) * wanted.trials + key.trial


class Plan(Sequence[Trial]):
    """Trials to run, each made when it is asked for: four bytes a trial, so that a bench of 100,000 is as small as
    one of 100."""

    def __init__(
        self, numbers: Sequence[int], make: Callable[[int], Trial], workload: Callable[[int], str]
    ) -> None:
        """`make` and `workload` give the trial of a number, and its workload."""
        self._numbers = array("I", numbers)
        self._make = make
        self._workload = workload

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        if isinstance(index, slice):
            return [self._make(number) for number in self._numbers[index]]
        return self._make(self._numbers[index])

    def sizes(self) -> dict[str, tuple[int, float]]:
        """How many trials there are on each workload, and the budget of one in seconds."""
        first: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for number in self._numbers:
            name = self._workload(number)
            counts[name] += 1
            first.setdefault(name, number)
        return {name: (count, self._make(first[name]).budget_s) for name, count in counts.items()}


def plan(
    settings: Settings,
    workloads: Sequence[Workload],
    submissions: Sequence[SubmissionRef],
    seconds_per_step: Mapping[str, float],
    recorded: Container[TrialKey],
    fingerprint: str,
) -> Plan:
    """The trials to run, whole studies first, so that a board made half-way compares like with like.

    `seconds_per_step` is the reference's, by workload name. Workloads count alike, so the cheapest decide most of
    the scores per device-hour: within a study they come first. In the last one the longest do, so that no device
    ends the bench alone with a long one.
    """
    ordered = sorted(workloads, key=lambda w: w.step_hint * seconds_per_step[w.name])
    code = machine.code_version()
    shape = settings.studies, settings.trials, len(ordered), len(submissions)
    names = (
        [(w.name, results_hash(w)) for w in ordered],
        [(s.name, s.hash) for s in submissions],
    )  # expensive to make

    def key(number: int) -> TrialKey:
        study, trial, w, s = _coordinates(number, shape)
        return TrialKey(
            settings.suite, *names[0][w], *names[1][s], settings.ruleset, settings.seed, study, trial, fingerprint,
        )  # fmt: skip

    def make(number: int) -> Trial:
        study, trial, w, s = _coordinates(number, shape)
        step_s = seconds_per_step[ordered[w].name]
        ending = EverySteps(
            every=ordered[w].evaluation_stride,
            budget_s=BUDGET_FACTOR[settings.ruleset] * ordered[w].step_hint * step_s,
            period_s=ordered[w].steps_per_evaluation * step_s,
        )
        checkpoint = checkpoint_path(settings, key(number))
        overrides: Overrides = {"study": study, "trial": trial, "code": code, "checkpoint": checkpoint}
        return Trial.of(settings, ordered[w], submissions[s], ending, **overrides)

    missing = [number for number in range(math.prod(shape)) if key(number) not in recorded]
    return Plan(missing, make, lambda number: ordered[_coordinates(number, shape)[2]].name)


def _coordinates(number: int, shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The study, trial, workload and submission of a number, the last one counting fastest; the workloads of the
    last study backwards."""
    rest, s = divmod(number, shape[3])
    rest, w = divmod(rest, shape[2])
    study, trial = divmod(rest, shape[1])
    return study, trial, shape[2] - 1 - w if study == shape[0] - 1 else w, s

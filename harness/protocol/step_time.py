"""Turns reference steps into seconds on the machine at hand: a short run of the reference on every device at once.

The result is kept under the hardware's fingerprint in RESULTS/calibration.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from filelock import FileLock

from harness.protocol.ending import EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from pacer.errors import PacerError
from scoring.records import Record, files
from scoring.records.protocol import REFERENCE
from submissions.registry import SubmissionRef, resolve
from workloads.base import Workload

_EVALUATIONS = 4
_ALLOWED_S = 600.0


class StepTimeError(PacerError):
    """The reference could not be timed."""


def measure_step_time(
    settings: Settings,
    workloads: Sequence[Workload],
    fingerprint: str,
    devices: int,
    run: Callable[[Sequence[Trial]], Iterable[Record]],
    warn: Callable[[str], object] = lambda text: None,
) -> dict[str, float]:
    """The reference's seconds per step by workload name, measured where they are not known yet.

    `run` runs trials side by side; each workload gets `devices` of them, one for each trial that fits on the
    machine, so that what is measured is the speed that trials have while all devices are busy. `warn` gets a line
    where other work took time from them. Raises StepTimeError where the reference breaks.
    """
    store, reference = StepTimeStore(settings.results), resolve(REFERENCE)
    known = known_step_times(settings, workloads, fingerprint)
    missing = [w for w in workloads if w.name not in known]
    if missing:
        trials = [_trial(settings, w, reference, device) for w in missing for device in range(devices)]
        samples: dict[str, list[float]] = {w.name: [] for w in missing}
        busy: list[Record] = []
        for record in run(trials):
            if record.failure is not None or len(record.evaluations) < 2:
                reason = record.failure.message if record.failure else record.outcome
                raise StepTimeError(
                    f"the reference {REFERENCE} could not be timed on {record.workload}: {reason}; "
                    f"type: make check SUBMISSION={REFERENCE}"
                )
            samples[record.workload] += _seconds_per_step(record)
            if record.busy:
                busy.append(record)
        store.add(fingerprint, {_key(w, reference): samples[w.name] for w in missing})
        if busy:
            warn(_warning(busy, settings.results))
        known = known_step_times(settings, workloads, fingerprint)
    return known


def _warning(busy: Sequence[Record], results: Path) -> str:
    worst = max(record.contention_share or 0.0 for record in busy)
    if any(record.waited_s is None for record in busy):
        effect = "so that budgets there are too long"
    else:
        effect = (
            "which is off its clock; for what shared caches and a lower turbo cost budgets may be a little long"
        )
    return (
        f"warning: the reference was timed while other work took {worst:.0%} of a core (on "
        f"{', '.join(sorted({record.workload for record in busy}))}), {effect}; to time it again, end other "
        f"programs, delete {results / 'calibration.json'} and type the same command"
    )


def known_step_times(settings: Settings, workloads: Sequence[Workload], fingerprint: str) -> dict[str, float]:
    """The reference's seconds per step by workload name, where they were measured on this hardware before."""
    known, reference = StepTimeStore(settings.results).read(fingerprint), resolve(REFERENCE)
    keys = {w.name: _key(w, reference) for w in workloads}
    return {name: known[key] for name, key in keys.items() if key in known}


def _key(workload: Workload, reference: SubmissionRef) -> str:
    return f"{workload.suite}/{workload.name}/{workload.definition()}/{reference.hash}"


def _trial(settings: Settings, workload: Workload, reference: SubmissionRef, device: int) -> Trial:
    stride = max(2, round(workload.steps_per_evaluation / 2))
    ending = EverySteps(every=stride, last=_EVALUATIONS * stride, budget_s=_ALLOWED_S, stop_at_target=False)
    return Trial.of(settings, workload, reference, ending, ruleset="self", study=device)


def _seconds_per_step(record: Record) -> list[float]:
    """One value for each stretch between evaluations; the first one holds the set-up and is left out."""
    return [(b.time_s - a.time_s) / (b.step - a.step) for a, b in pairwise(record.evaluations)]


class StepTimeStore:
    """RESULTS/calibration.json: samples of seconds per step by hardware fingerprint and workload."""

    def __init__(self, results: Path) -> None:
        self._path = results / "calibration.json"

    def read(self, fingerprint: str) -> dict[str, float]:
        """Median seconds per step by key."""
        return {key: median(entry["samples_s"]) for key, entry in self._load().get(fingerprint, {}).items()}

    def samples(self, fingerprint: str, suite: str, workload: str) -> list[float]:
        """The seconds per step that were measured last for a workload, none where there were no measurements."""
        stored = [
            entry["samples_s"]
            for key, entry in self._load().get(fingerprint, {}).items()
            if key.startswith(f"{suite}/{workload}/")
        ]
        return stored[-1] if stored else []

    def add(self, fingerprint: str, samples: Mapping[str, Sequence[float]]) -> None:
        """Adds samples, in seconds per step; the first that were stored for a key stay."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(".calibration.lock")):
            data = self._load()
            for key, values in samples.items():
                entry = {"samples_s": list(values), "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                data.setdefault(fingerprint, {}).setdefault(key, entry)
            files.replace(self._path, json.dumps(data, indent=1).encode())

    def _load(self) -> dict[str, dict[str, dict]]:
        if not self._path.exists():
            return {}
        try:
            return json.loads(self._path.read_text())
        except ValueError as error:
            raise StepTimeError(
                f"{self._path} cannot be read ({error}); delete it and the reference is timed again"
            ) from error

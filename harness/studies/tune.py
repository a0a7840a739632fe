"""`make calibrate`: one point of a submission's search space, found by searching all workloads of a suite together.

The candidates are the author's own defaults, the point in use, the reference's point for a submission that has most
of its hyperparameters, and quasi-random points of the space. They race: all are tried on a first workload, the
better half on two more, and on the others the best, with the second where that is near. A candidate's merit on a
workload is the credit that it would have on the board if cost were counted in examples, against the runs of the
reference that set the target; where it misses, how much of the way to the target was left, below 0. Nothing is
counted in seconds: a busy machine changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import numpy as np
from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.protocol.choose import chosen_workloads
from harness.protocol.defaults import DEFAULT_WORKLOADS
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial, over_horizon
from harness.report.progress import TrialProgress
from harness.system import machine
from pacer import paths
from pacer.errors import PacerError, UsageError
from scoring import scores
from scoring.records import Outcome, Record, RecordStore
from scoring.records.layout import SINGLE
from scoring.records.protocol import REFERENCE
from submissions import points
from submissions.registry import LITERATURE, SubmissionRef, locate, resolve
from workloads import targets
from workloads.base import Workload

_ROUNDS = ((0, 1), (1, 3), (3, None))
"""Each round's workloads, from and to."""

_NEAR = 0.25
"""The second is near where its mean merit is at most this far below the best one's."""

_PRESENT, _LIKE = 10_001, 10_002
"""The numbers of two candidates that are no points of the sequence."""

_ALLOWED_S = 1e5
# A root of its own: points are chosen on other draws than those that a bench is scored on.
_SEED = 2_000_003


class CalibrationError(PacerError):
    """No point could be found."""


@dataclass
class _Candidate:
    """A point under trial: its number, its hyperparameters once they are known, and its records by workload."""

    number: int
    hp: Mapping[str, Any] | None = None
    records: dict[str, Record] = field(default_factory=dict)

    def merits(self, workloads: Iterable[Workload]) -> dict[str, float]:
        """Its merit on each workload that it was tried on and is made for."""
        tried = [w for w in workloads if w.name in self.records]
        return {
            w.name: _merit(w, self.records[w.name])
            for w in tried
            if self.records[w.name].outcome is not Outcome.UNSUITABLE
        }

    def merit(self, workloads: Iterable[Workload]) -> float:
        """The mean of its merits."""
        return fmean(self.merits(workloads).values() or [0.0])


def calibrate(settings: Settings, specs: Sequence[str], count: int, console: Console) -> int:
    """Calibrates submissions of the folder, or of files, with `count` points of their space; keeps each point.

    Returns 0, or 1 where one broke; the others go on. Raises UsageError where one cannot be calibrated.
    """
    for spec in specs:
        if ":" in spec:
            raise UsageError(f"{spec!r} has no file to keep its point beside; write the point into the line itself")
        try:
            resolve(f"{spec}@{LITERATURE}")
        except ValueError as error:
            raise UsageError(str(error)) from None
        path, name = locate(spec)
        if paths.is_installed_file(path):
            raise UsageError(
                f"the point of {name} is kept beside {path}, in an installed copy of Pacer; work in a clone, or on "
                f"a copy of the file with another `name` in it: cp {path} my_{path.name}"
            )
    workloads = _ordered(chosen_workloads(settings))
    with connected(settings, console) as cluster:
        data.prepare(workloads, settings.data, cluster, console)
        broken = 0
        for spec in specs:
            try:
                _calibrate(settings, spec, count, workloads, cluster, console)
            except CalibrationError as error:
                broken += 1
                console.print(f"{spec}: {error}", markup=False, soft_wrap=True)
    return 1 if broken else 0


def _calibrate(
    settings: Settings, spec: str, count: int, workloads: Sequence[Workload], cluster: Cluster, console: Console
) -> None:
    path, name = locate(spec)
    submission, present = resolve(f"{spec}@{LITERATURE}"), points.load(path, name)
    candidates = [_Candidate(number) for number in range(count + 1)]
    if present is not None:
        candidates.append(_Candidate(_PRESENT, present.point))
    if name == REFERENCE:  # its point sets the pace: it is measured and never changed
        candidates = candidates[-1:]
    console.print(f"{name}: {len(candidates)} points on {len(workloads)} workloads", highlight=False)
    # The player alone knows the space: a point is that of its candidate's first record, and is ordered after it.
    _try(settings, submission, candidates, workloads[:1], cluster, console)
    if name != REFERENCE and (like := _like_the_reference(candidates[0].hp)):
        candidates.append(_Candidate(_LIKE, like))
    tried = list(candidates)
    for number, (start, stop) in enumerate(_ROUNDS):
        _try(settings, submission, candidates, workloads[start:stop], cluster, console)
        candidates.sort(key=lambda candidate: -candidate.merit(workloads))
        for candidate in candidates:
            console.print(f"{candidate.merit(workloads):7.3f}  {candidate.hp}", highlight=False, soft_wrap=True)
        candidates = _survivors(candidates, workloads, number)
    best = candidates[0]
    if not best.merits(workloads):
        raise CalibrationError(f"{name} is made for none of these workloads: there is nothing to calibrate")
    found = points.TunedPoint(
        point=best.hp,
        command=f"python -m harness calibrate --suite {settings.suite} --submission {spec} --points {count}",
        state_bytes_per_parameter=_state_bytes(best.records.values()),
        evidence={
            "code": machine.code_version(),
            "hardware": str(machine.hardware()),
            "candidates": [
                {"hp": dict(candidate.hp), "merit": _rounded(candidate.merits(workloads))}
                for candidate in sorted(tried, key=lambda candidate: candidate.number)
            ],
        },
    )
    kept_in = points.save(path, name, found)
    console.print(f"{name}: {best.merit(workloads):.3f}, kept in {kept_in}", highlight=False, soft_wrap=True)


def _survivors(ranked: Sequence[_Candidate], workloads: Sequence[Workload], number: int) -> list[_Candidate]:
    """Who goes on after a round: the better half after the first, then the best and the second where it is near."""
    best = ranked[0]
    if not best.merits(workloads):  # not made for the workloads so far: nobody was tried
        return list(ranked)
    if number == 0:
        return list(ranked[: max(2, math.ceil(len(ranked) / 2))])
    return [each for each in ranked[:2] if each.merit(workloads) >= best.merit(workloads) - _NEAR]


def _like_the_reference(defaults: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The defaults with what they share with the reference's point, where that is its rate and most of the rest."""
    point = resolve(REFERENCE).point
    shared = {key: value for key, value in point.items() if key in defaults}
    return {**defaults, **shared} if "lr" in shared and 2 * len(shared) > len(point) else None


def _try(
    settings: Settings,
    submission: SubmissionRef,
    candidates: Sequence[_Candidate],
    workloads: Sequence[Workload],
    cluster: Cluster,
    console: Console,
) -> None:
    """Runs the candidates on these workloads, save what is recorded already."""
    store = RecordStore(settings.results / "calibrations", settings.suite)
    fingerprint = cluster.hardware.fingerprint
    recorded = {record.key: record for record in store.read()[0]}
    trials: list[Trial] = []
    for workload in workloads:
        for candidate in candidates:
            if workload.name in candidate.records:
                continue
            order = _order(settings, workload, submission, candidate)
            known = recorded.get(order.key(workload, fingerprint))
            if known is not None and candidate.hp in (None, known.hp):
                _take(candidate, known)
            else:
                trials.append(order)
    progress = TrialProgress(trials, cluster.devices, console)
    numbered = {candidate.number: candidate for candidate in candidates}
    with progress.shown():
        for result in schedule.run(trials, cluster):
            if isinstance(result, schedule.Lost):
                raise CalibrationError(f"{result.trial.workload}, {submission.name}: {result.reason}")
            if result.outcome is Outcome.ERROR:
                raise CalibrationError(
                    f"{submission.name} broke on {result.workload} at {dict(result.hp)}: {result.failure.message}; "
                    f"type: make check SUBMISSION={submission.name.partition('@')[0]}"
                )
            store.append(result)
            progress.ended(result)
            _take(numbered[result.trial], result)


def _order(settings: Settings, workload: Workload, submission: SubmissionRef, candidate: _Candidate) -> Trial:
    overrides: Overrides = {
        "suite": workload.suite,
        "ruleset": "external" if candidate.number else "self",
        "seed": _SEED + settings.seed,
        "trial": candidate.number,
        "hp": candidate.hp,
        "layout": SINGLE,
    }
    return Trial.of(settings, workload, submission, over_horizon(workload, _ALLOWED_S), **overrides)


def _take(candidate: _Candidate, record: Record) -> None:
    candidate.records[record.workload] = record
    candidate.hp = record.hp


def _merit(workload: Workload, record: Record) -> float:
    """The credit in examples of a run that reached the target, in [0, 1]; else minus the share that was left."""
    evidence = targets.load(workload).evidence
    values = [evaluation.value for evaluation in record.evaluations if evaluation.value is not None]
    if record.crossing is not None:
        mark = median(steps or workload.step_hint for steps in evidence["reference_steps"]) * workload.batch_size
        cost = max(1, record.crossing.examples)
        return float(scores.anchored(np.array([[float(cost)]]), reference=None, budget=np.array([mark]))[0, 0])
    if record.outcome is Outcome.DIVERGED or not values:
        return -1.0
    start = median(run["validation"][0] for run in evidence["reference"])
    best = max(values) if workload.metric.higher_is_better else min(values)
    return -float(np.clip((best - record.target) / (start - record.target), 0.0, 1.0))


def _ordered(workloads: Sequence[Workload]) -> list[Workload]:
    """Those that a bench runs by default come first, as they are the quickest, and of them the Transformer, which
    forgives a bad learning rate least."""
    order = list(reversed(DEFAULT_WORKLOADS))
    return sorted(workloads, key=lambda w: order.index(w.name) if w.name in order else len(order))


def _state_bytes(records: Iterable[Record]) -> float | None:
    """What the submission keeps beside each parameter, over all models, in bytes; None where none was measured."""
    measured = [record for record in records if record.state_bytes is not None]
    if not measured:
        return None
    return round(sum(r.state_bytes for r in measured) / sum(r.parameters for r in measured), 2)


def _rounded(merits: Mapping[str, float]) -> dict[str, float]:
    return {name: round(merit, 4) for name, merit in merits.items()}

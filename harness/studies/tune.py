"""`make tune`: one point of a submission's search space, searched for on all workloads of a suite together.

The candidates are the author's own defaults, the point in use, the reference's point for a submission that has most
of its hyperparameters, and quasi-random points of the space. They race: all are tried on a first workload, the
better half on two more, and on the others the best, with the second where that is near. A candidate's merit on a
workload is the credit that it would have on the board if cost were counted in examples, against the runs of the
reference that set the target; where it misses, how much of the way to the target was left, below 0. Nothing is
counted in seconds: a busy machine changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.protocol.choose import chosen_workloads
from harness.protocol.defaults import DEFAULT_WORKLOADS
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial, over_horizon
from harness.report.progress import TrialProgress
from harness.studies.candidates import Candidate, survivors
from harness.system import machine
from pacer import paths
from pacer.errors import PacerError, UsageError
from scoring.records import Record, RecordStore
from scoring.records.layout import SINGLE
from scoring.records.protocol import REFERENCE
from submissions import points
from submissions.registry import LITERATURE, SubmissionRef, locate, resolve
from workloads.base import Workload

_ROUNDS = ((0, 1), (1, 3), (3, None))
"""Each round's workloads, from and to."""

_PRESENT, _LIKE = 10_001, 10_002
"""The numbers of two candidates that are no points of the sequence."""

_ALLOWED_S = 1e5
# A root of its own: points are chosen on other draws than those that a bench is scored on.
_SEED = 2_000_003


class TuningError(PacerError):
    """No point could be found."""


def tune(settings: Settings, specs: Sequence[str], count: int, console: Console) -> int:
    """Tunes submissions of the folder, or of files, with `count` points of their space; keeps each point.

    Returns 0, or 1 where one broke; the others go on. Raises UsageError where one cannot be tuned.
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
                _tune(settings, spec, count, workloads, cluster, console)
            except TuningError as error:
                broken += 1
                console.print(f"{spec}: {error}", markup=False, soft_wrap=True)
    return 1 if broken else 0


def _tune(
    settings: Settings, spec: str, count: int, workloads: Sequence[Workload], cluster: Cluster, console: Console
) -> None:
    path, name = locate(spec)
    submission, present = resolve(f"{spec}@{LITERATURE}"), points.load(path, name)
    candidates = [Candidate(number) for number in range(count + 1)]
    if present is not None:
        candidates.append(Candidate(_PRESENT, present.point))
    if name == REFERENCE:  # its point sets all budgets: it is measured and never changed
        candidates = candidates[-1:]
    console.print(f"{name}: {len(candidates)} points on {len(workloads)} workloads", highlight=False)
    # The player alone knows the space: a point is that of its candidate's first record, and is ordered after it.
    _try(settings, submission, candidates, workloads[:1], cluster, console)
    if name != REFERENCE and (like := _like_the_reference(candidates[0].point)):
        candidates.append(Candidate(_LIKE, like))
    tried = list(candidates)
    for number, (start, stop) in enumerate(_ROUNDS):
        _try(settings, submission, candidates, workloads[start:stop], cluster, console)
        candidates.sort(key=lambda candidate: -candidate.merit(workloads))
        for candidate in candidates:
            console.print(f"{candidate.merit(workloads):7.3f}  {candidate.hp}", highlight=False, soft_wrap=True)
        candidates = survivors(candidates, workloads, number)
    best = candidates[0]
    if not best.merits(workloads):
        raise TuningError(f"{name} is made for none of these workloads: there is nothing to tune")
    tuned = points.TunedPoint(
        point=best.point,
        command=f"python -m harness tune --suite {settings.suite} --submission {spec} --points {count}",
        state_bytes_per_parameter=_state_bytes(best.records.values()),
        evidence={
            "code": machine.code_version(),
            "hardware": str(machine.hardware()),
            "candidates": [
                {"hp": dict(candidate.point), "merit": _rounded(candidate.merits(workloads))}
                for candidate in sorted(tried, key=lambda candidate: candidate.number)
            ],
        },
    )
    kept_in = points.save(path, name, tuned)
    console.print(f"{name}: {best.merit(workloads):.3f}, kept in {kept_in}", highlight=False, soft_wrap=True)


def _like_the_reference(defaults: Mapping[str, object]) -> Mapping[str, object] | None:
    """The defaults with what they share with the reference's point, where that is its rate and most of the rest."""
    point = resolve(REFERENCE).point or {}
    shared = {key: value for key, value in point.items() if key in defaults}
    return {**defaults, **shared} if "lr" in shared and 2 * len(shared) > len(point) else None


def _try(
    settings: Settings,
    submission: SubmissionRef,
    candidates: Sequence[Candidate],
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
                candidate.add(known)
            else:
                trials.append(order)
    progress = TrialProgress(trials, cluster.devices, console)
    numbered = {candidate.number: candidate for candidate in candidates}
    with progress.shown():
        for result in schedule.run(trials, cluster):
            if isinstance(result, schedule.LostTrial):
                raise TuningError(f"{result.trial.workload}, {submission.name}: {result.reason}")
            if result.failure is not None:
                raise TuningError(
                    f"{submission.name} broke on {result.workload} at {dict(result.hp)}: {result.failure.message}; "
                    f"type: make check SUBMISSION={submission.name.partition('@')[0]}"
                )
            store.append(result)
            progress.ended(result)
            numbered[result.trial].add(result)


def _order(settings: Settings, workload: Workload, submission: SubmissionRef, candidate: Candidate) -> Trial:
    overrides: Overrides = {
        "suite": workload.suite,
        "ruleset": "external" if candidate.number else "self",
        "seed": _SEED + settings.seed,
        "trial": candidate.number,
        "hp": candidate.hp,
        "layout": SINGLE,
    }
    return Trial.of(settings, workload, submission, over_horizon(workload, _ALLOWED_S), **overrides)


def _ordered(workloads: Sequence[Workload]) -> list[Workload]:
    """Those that a bench runs by default come first, as they are the quickest, and of them the Transformer, which
    forgives a bad learning rate least."""
    order = list(reversed(DEFAULT_WORKLOADS))
    return sorted(workloads, key=lambda w: order.index(w.name) if w.name in order else len(order))


def _state_bytes(records: Iterable[Record]) -> float | None:
    """What the submission keeps beside each parameter, over all models, in bytes; None where none was measured."""
    sizes = [
        (r.state_bytes, r.parameters) for r in records if r.state_bytes is not None and r.parameters is not None
    ]
    if not sizes:
        return None
    return round(sum(state for state, _ in sizes) / sum(parameters for _, parameters in sizes), 2)


def _rounded(merits: Mapping[str, float]) -> dict[str, float]:
    return {name: round(merit, 4) for name, merit in merits.items()}

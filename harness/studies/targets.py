"""`make targets`: sets each workload's target by AlgoPerf's procedure at a smaller size, and keeps the evidence.

1. The defaults of each family and quasi-random points of its search space, trained over the step hint.
2. The best point, repeated over several seeds; the median of the best validation values is the aim.
3. The reference with its defaults, over twice as many studies. The target is the easier of the aim and the value
   that each of those studies reaches within four fifths of the horizon: what the reference misses is no target.
4. Beside it, plain SGD at five learning rates: a workload on which it keeps up tells no algorithms apart. This
   decides nothing; it is kept with the runs. Variants do without, and so do targets of families that were named.

Everything is counted in steps, so a busy machine changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial, over_horizon
from harness.report.progress import TrialProgress
from harness.system import machine
from pacer import paths
from pacer.errors import PacerError, UsageError
from scoring.records import Record
from scoring.records.layout import SINGLE
from scoring.records.protocol import REFERENCE
from submissions.registry import known, resolve
from workloads import targets
from workloads.base import Workload

FAMILIES = (REFERENCE, "adamw", "nesterov", "heavy_ball")
_PLAIN, _PLAIN_POINTS = "sgd", 5
_SHARE_OF_HORIZON = 0.8
_ALLOWED_S = 1e5
# A root of its own: targets are set on other draws than those that a bench is scored on.
_SEED = 1_000_003


class TargetError(PacerError):
    """No target could be set."""


def set_targets(
    settings: Settings,
    workloads: Sequence[Workload],
    points: int,
    repeats: int,
    console: Console,
    named: Sequence[str] | None = None,
) -> int:
    """Sets the targets of these workloads and prints them. The families searched are those `named`, None for all.

    Raises TargetError, and UsageError for a family that is not in the folder or where Pacer is no clone.
    """
    if paths.is_installed_file(targets.FOLDER):
        raise UsageError(
            f"targets are kept with Pacer's code, of which {targets.FOLDER} is an installed copy; type it in a "
            "clone: make targets"
        )
    families = FAMILIES if named is None else named
    if unknown := sorted(set(families) - set(known())):
        raise UsageError(f"no submission is named {', '.join(unknown)}; for a list, type: make submissions")
    with connected(settings, console) as cluster:
        data.prepare(workloads, settings.data, cluster, console)
        for workload in workloads:
            console.print(f"{workload.name}: {points} points of each of {', '.join(families)}", highlight=False)
            orders = _search(settings, workload, points, families)
            orders += [] if named or workload.variant_of else _plain(settings, workload)
            search = _run(orders, cluster, console)
            tuned = [record for record in search if record.submission in families]
            best = min(tuned, key=lambda record: _rank(workload, _best(workload, record)))
            console.print(f"best: {best.submission} {dict(best.hp)}; now {repeats} repeats and the reference")
            again = [
                replace(_trial(settings, workload, best.submission, "external", study=study), hp=best.hp)
                for study in range(1, repeats + 1)
            ]
            studies = range(1, 2 * repeats + 1)
            pace = [_trial(settings, workload, REFERENCE, "self", study=study) for study in studies]
            runs = _run([*again, *pace], cluster, console)
            repeated = [record for record in runs if record.ruleset == "external"]
            reference = [record for record in runs if record.ruleset == "self"]
            plain = [record for record in search if record.submission not in families]
            target = _decide(workload, repeated, reference)
            command = f"python -m harness targets --suite {workload.suite} --workloads {workload.name}"
            command += "" if named is None else f" --families {','.join(named)}"
            evidence = {
                "metric": workload.metric.name,
                "aim": _aim(workload, repeated),
                "reference_steps": [_steps(workload, record, target) for record in reference],
                "plain_sgd_steps": [_steps(workload, record, target) for record in plain],
                "code": machine.code_version(),
                "hardware": str(machine.hardware()),
                "search": [_compact(record) for record in tuned],
                "repeats": [_compact(record) for record in repeated],
                "reference": [_compact(record) for record in reference],
                "plain_sgd": [_compact(record) for record in plain],
            }
            stored = targets.StoredTarget(
                target=target,
                definition=workload.definition(),
                command=f"{command} --points {points} --repeats {repeats}",
                evidence=evidence,
            )
            targets.save(workload, stored)
            console.print(f"{workload.name}: {workload.metric.name} target {target}", highlight=False)
    return 0


def _search(settings: Settings, workload: Workload, points: int, families: Sequence[str]) -> list[Trial]:
    """The first runs: of each family its defaults and further points."""
    return [
        _trial(settings, workload, family, "external" if point else "self", trial=point)
        for family in families
        for point in range(points)
    ]


def _plain(settings: Settings, workload: Workload) -> list[Trial]:
    return [_trial(settings, workload, _PLAIN, "external", trial=point) for point in range(_PLAIN_POINTS)]


def _trial(
    settings: Settings, workload: Workload, name: str, ruleset: str, study: int = 0, trial: int = 0
) -> Trial:
    overrides: Overrides = {
        "suite": workload.suite,
        "ruleset": ruleset,
        "seed": _SEED + settings.seed,
        "study": study,
        "trial": trial,
        "layout": SINGLE,
    }
    ending = over_horizon(workload, _ALLOWED_S, stop_at_target=False)
    return Trial.of(settings, workload, resolve(name), ending, **overrides)


def _run(trials: Sequence[Trial], cluster: Cluster, console: Console) -> list[Record]:
    records = []
    progress = TrialProgress(list(trials), cluster.devices, console)
    with progress.shown():
        for result in schedule.run(trials, cluster):
            if isinstance(result, schedule.Lost):
                raise TargetError(f"{result.trial.workload}, {result.trial.submission.name}: {result.reason}")
            records.append(result)
            progress.ended(result)
    return sorted(records, key=lambda r: (r.ruleset, r.submission, r.study, r.trial))


def _decide(workload: Workload, repeated: Sequence[Record], reference: Sequence[Record]) -> float:
    """The target, from the repeats of the best point and the reference's studies, rounded to the easier side."""
    horizon = _SHARE_OF_HORIZON * workload.step_hint
    aim = _aim(workload, repeated)
    reached = [_best(workload, record, horizon) for record in reference]
    easiest = max((aim, *reached), key=lambda value: _rank(workload, value))
    if not math.isfinite(easiest):
        raise TargetError(
            f"{workload.name}: the reference {REFERENCE} diverges; change its defaults or the workload"
        )
    digits = 3 - math.ceil(math.log10(abs(easiest)))
    rounded = math.ceil(_rank(workload, easiest) * 10**digits) / 10**digits
    return round(_rank(workload, rounded), max(0, digits))


def _aim(workload: Workload, repeated: Sequence[Record]) -> float:
    """The median of what the repeats of the best point reach."""
    return median(_best(workload, record) for record in repeated)


def _best(workload: Workload, record: Record, horizon: float = math.inf) -> float:
    """The best validation value up to a step, infinitely bad where there is none."""
    values = [e.value for e in record.evaluations if e.value is not None and e.step <= horizon]
    worst = -math.inf if workload.metric.higher_is_better else math.inf
    return min(values, key=lambda value: _rank(workload, value), default=worst)


def _steps(workload: Workload, record: Record, target: float) -> int | None:
    """Steps to the target, None where the run did not reach it."""
    reaches = replace(workload, target=target).reaches
    return next((e.step for e in record.evaluations if reaches(e.value)), None)


def _rank(workload: Workload, value: float) -> float:
    """The value with its sign such that smaller is better (and, applied twice, the value again)."""
    return -value if workload.metric.higher_is_better else value


def _compact(record: Record) -> dict[str, Any]:
    return {
        "submission": record.submission,
        "study": record.study,
        "hp": dict(record.hp),
        "outcome": str(record.outcome),
        "steps": [e.step for e in record.evaluations][-1:],
        "validation": [None if e.value is None else round(e.value, 5) for e in record.evaluations],
    }

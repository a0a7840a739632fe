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

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial, over_horizon
from harness.report.progress import TrialProgress
from harness.studies.target_rule import TargetError, aim, best_value, decide, rank, steps_to
from harness.system import machine
from pacer import paths
from pacer.errors import UsageError
from scoring.records import Record
from scoring.records.layout import SINGLE
from scoring.records.protocol import REFERENCE
from submissions.registry import known, resolve
from workloads import targets
from workloads.base import Workload

FAMILIES = (REFERENCE, "adamw", "nesterov", "heavy_ball")
_PLAIN, _PLAIN_POINTS = "sgd", 5
_ALLOWED_S = 1e5
# A root of its own: targets are set on other draws than those that a bench is scored on.
_SEED = 1_000_003


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
    procedure = _Procedure(points, repeats, named)
    if unknown := sorted(set(procedure.families) - set(known())):
        raise UsageError(f"no submission is named {', '.join(unknown)}; for a list, type: make submissions")
    with connected(settings, console) as cluster:
        data.prepare(workloads, settings.data, cluster, console)
        for workload in workloads:
            stored = _target(settings, workload, procedure, cluster, console)
            targets.save(workload, stored)
            console.print(f"{workload.name}: {workload.metric.name} target {stored.target}", highlight=False)
    return 0


@dataclass(frozen=True)
class _Procedure:
    """How targets are set: so many points of each family and repeats of the best one; the families that were
    `named`, None for all."""

    points: int
    repeats: int
    named: Sequence[str] | None

    @property
    def families(self) -> Sequence[str]:
        """Those searched."""
        return FAMILIES if self.named is None else self.named

    def command(self, workload: Workload) -> str:
        """What one types to set a workload's target by it."""
        words = f"python -m harness targets --suite {workload.suite} --workloads {workload.name}"
        words += "" if self.named is None else f" --families {','.join(self.named)}"
        return f"{words} --points {self.points} --repeats {self.repeats}"


def _target(
    settings: Settings, workload: Workload, procedure: _Procedure, cluster: Cluster, console: Console
) -> targets.StoredTarget:
    """The target of one workload, with its evidence."""
    families, repeats = procedure.families, procedure.repeats
    console.print(f"{workload.name}: {procedure.points} points of each of {', '.join(families)}", highlight=False)
    trials = _search(settings, workload, procedure.points, families)
    trials += [] if procedure.named or workload.variant_of else _plain(settings, workload)
    search = _run(trials, cluster, console)
    tuned = [record for record in search if record.submission in families]
    plain = [record for record in search if record.submission not in families]
    best = min(tuned, key=lambda record: rank(workload, best_value(workload, record)))
    console.print(f"best: {best.submission} {dict(best.hp)}; now {repeats} repeats and the reference")
    again = [
        replace(_trial(settings, workload, best.submission, "external", study=study), hp=best.hp)
        for study in range(1, repeats + 1)
    ]
    again += [_trial(settings, workload, REFERENCE, "self", study=study) for study in range(1, 2 * repeats + 1)]
    runs = _run(again, cluster, console)
    repeated = [record for record in runs if record.ruleset == "external"]
    reference = [record for record in runs if record.ruleset == "self"]
    target = decide(workload, repeated, reference)
    return targets.StoredTarget(
        target=target,
        definition=workload.definition(),
        command=procedure.command(workload),
        evidence={
            "metric": workload.metric.name,
            "aim": aim(workload, repeated),
            "reference_steps": [steps_to(workload, record, target) for record in reference],
            "plain_sgd_steps": [steps_to(workload, record, target) for record in plain],
            "code": machine.code_version(),
            "hardware": str(machine.hardware()),
            "search": [_compact(record) for record in tuned],
            "repeats": [_compact(record) for record in repeated],
            "reference": [_compact(record) for record in reference],
            "plain_sgd": [_compact(record) for record in plain],
        },
    )


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
            if isinstance(result, schedule.LostTrial):
                raise TargetError(f"{result.trial.workload}, {result.trial.submission.name}: {result.reason}")
            records.append(result)
            progress.ended(result)
    return sorted(records, key=lambda r: (r.ruleset, r.submission, r.study, r.trial))


def _compact(record: Record) -> dict[str, object]:
    return {
        "submission": record.submission,
        "study": record.study,
        "hp": dict(record.hp),
        "outcome": str(record.outcome),
        "steps": [e.step for e in record.evaluations][-1:],
        "validation": [None if e.value is None else round(e.value, 5) for e in record.evaluations],
    }

"""`python -m harness verify`: repeats recorded trials from their seeds and compares what comes of them.

A repeat is evaluated at the record's steps. On the same hardware and versions the losses and metrics of a CPU
must be the same bit for bit, elsewhere within a tolerance; times, within what the machine's own noise explains.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from harness.cluster import data, schedule
from harness.cluster.connect import connected
from harness.protocol.choose import listed_workloads
from harness.protocol.ending import AtSteps
from harness.protocol.settings import Settings
from harness.protocol.step_time import StepTimeStore
from harness.protocol.trial import Overrides, Trial, results_hash
from harness.report.progress import TrialProgress
from pacer.errors import UsageError
from scoring.records import Evaluation, Outcome, Record, RecordStore
from submissions.registry import SubmissionRef, resolve
from workloads.base import Workload

_TOLERANCE = 1e-3
"""Relative difference of losses that other hardware or versions explain."""

_LEAST_NOISE = 0.1
_DEVIATIONS = 3.0

_REPEATABLE = {Outcome.REACHED, Outcome.BUDGET, Outcome.COMPLETE, Outcome.OUTRUN, Outcome.SETTLED, Outcome.CUT}
_REPEATABLE |= {Outcome.UNPROMISING, Outcome.DIVERGED}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of repeating one trial: `same` losses, the `ratio` of the repeat's time to the recorded one."""

    record: Record
    same: bool
    detail: str
    ratio: float | None
    time_agrees: bool

    def as_text(self) -> str:
        """One line for a person."""
        name = f"{self.record.workload} study {self.record.study} trial {self.record.trial}"
        time = "no time" if self.ratio is None else f"{self.ratio:.2f} x the recorded time"
        agrees = "" if self.ratio is None or self.time_agrees else ", more than noise explains"
        return f"{name}: {self.detail}; {time}{agrees}"


def verify(settings: Settings, spec: str, count: int, console: Console) -> int:
    """Repeats the first `count` recorded trials of a submission on each workload; returns 0 if all losses agree.

    Raises UsageError where nothing can be repeated, and says why.
    """
    try:
        submission = resolve(spec)
    except ValueError as error:
        raise UsageError(str(error)) from None
    workloads = {workload.name: workload for workload in listed_workloads(settings)}
    records, warnings = RecordStore(settings.results, settings.suite).read()
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False)
    chosen = _chosen(records, settings, submission, workloads, count)
    # A repeat is matched by workload, study and trial: a trial's key may have other hardware in it.
    by_number = {(r.workload, r.study, r.trial): r for r in chosen}
    trials = [_repeat(record, settings, workloads[record.workload], submission) for record in chosen]
    findings: list[Comparison] = []
    with connected(settings, console) as cluster:
        data.prepare([workloads[record.workload] for record in chosen], settings.data, cluster, console)
        progress = TrialProgress(trials, cluster.devices, console)
        with progress.shown():
            for result in schedule.run(
                trials, cluster, listener=schedule.ScheduleListener(repeated=progress.repeated)
            ):
                if isinstance(result, schedule.LostTrial):
                    progress.lost(result.trial, result.reason)
                    continue
                progress.ended(result)
                record = by_number[result.workload, result.study, result.trial]
                findings.append(_compare(record, result, _noise(settings, record)))
    for finding in sorted(findings, key=lambda f: (f.record.workload, f.record.study, f.record.trial)):
        print(finding.as_text())
    same = sum(finding.same for finding in findings)
    timed = [finding for finding in findings if finding.ratio is not None]
    print(
        f"{submission.name}: {same} of {len(trials)} trials repeat, "
        f"{sum(finding.time_agrees for finding in timed)} of {len(timed)} times agree"
    )
    return 0 if same == len(trials) else 1


def _chosen(
    records: Sequence[Record],
    settings: Settings,
    submission: SubmissionRef,
    workloads: dict[str, Workload],
    count: int,
) -> list[Record]:
    """The records to repeat. Raises UsageError where there are none, for a reason that is named."""
    how = (submission.name, settings.ruleset, settings.layout)
    own = [record for record in records if (record.submission, record.ruleset, record.layout) == how]
    if not own:
        raise UsageError(
            f"no trials of {submission.name} are recorded in {settings.results / settings.suite} under the "
            f"{settings.ruleset} ruleset; type: make leaderboard to see what is"
        )
    of_code = [r for r in own if r.submission_hash == submission.hash]
    if not of_code:
        kept = settings.results / settings.suite / "sources" / f"{own[-1].submission_hash}.txt"
        raise UsageError(
            f"{submission.name} has changed since it was recorded: its hash is {submission.hash}, that of the "
            f"records {own[-1].submission_hash}, whose source is in {kept}; check that out, or run the bench again"
        )
    current = [
        r
        for r in of_code
        if r.workload in workloads
        and r.workload_hash == results_hash(workloads[r.workload])
        and r.outcome in _REPEATABLE
        and r.evaluations
        and not r.skipped
    ]
    if not current:
        raise UsageError(
            f"no trial of {submission.name} can be repeated: those that are recorded broke, are kept in an archive "
            "without their course, or are of workloads or targets that have changed"
        )
    chosen: list[Record] = []
    for workload in workloads:
        here = [r for r in current if r.workload == workload]
        chosen += sorted(here, key=lambda r: (r.seed, r.study, r.trial))[:count]
    return chosen


def _repeat(record: Record, settings: Settings, workload: Workload, submission: SubmissionRef) -> Trial:
    steps = tuple(evaluation.step for evaluation in record.evaluations)
    ending = AtSteps(steps=steps, budget_s=record.budget_s, period_s=record.evaluation_period_s)
    overrides: Overrides = {
        "ruleset": record.ruleset,
        "seed": record.seed,
        "study": record.study,
        "trial": record.trial,
        "hp": record.hp,
        "layout": record.layout,
    }
    return Trial.of(settings, workload, submission, ending, **overrides)


def _compare(record: Record, repeat: Record, noise: float) -> Comparison:
    alike = record.fingerprint == repeat.fingerprint and record.versions == repeat.versions
    tolerance = 0.0 if alike else _TOLERANCE
    pairs = list(zip(record.evaluations, repeat.evaluations, strict=False))
    differs = next((pair for pair in pairs if not _agree(*pair, tolerance)), None)
    failure = repeat.failure
    if failure is not None:
        detail = f"broke in {failure.hook}: {failure.kind}: {failure.message.partition(chr(10))[0]}"
    elif differs is not None:
        detail = (
            f"differs from step {differs[0].step} on: {_seen(differs[0])} was recorded, {_seen(differs[1])} came"
        )
    elif len(repeat.evaluations) != len(record.evaluations):
        detail = f"ended after {len(repeat.evaluations)} of {len(record.evaluations)} evaluations"
    else:
        detail = (
            "the same bit for bit" if alike else f"the same within {_TOLERANCE:g}, on other hardware or versions"
        )
    same = failure is None and differs is None and len(repeat.evaluations) == len(record.evaluations)
    ratio = None
    if same and record.fingerprint == repeat.fingerprint and record.evaluations[-1].time_s > 0:
        ratio = repeat.evaluations[-1].time_s / record.evaluations[-1].time_s
    agrees = ratio is not None and abs(math.log(ratio)) <= math.log1p(noise)
    return Comparison(record=record, same=same, detail=detail, ratio=ratio, time_agrees=agrees)


def _agree(a: Evaluation, b: Evaluation, tolerance: float) -> bool:
    if (a.step, a.examples) != (b.step, b.examples):
        return False
    for x, y in ((a.value, b.value), (a.train_loss, b.train_loss)):
        if (x is None) != (y is None):
            return False
        if x is not None and y is not None and abs(x - y) > tolerance * max(abs(x), abs(y)):
            return False
    return True


def _seen(evaluation: Evaluation) -> str:
    return f"step {evaluation.step}, metric {evaluation.value}, loss {evaluation.train_loss}"


def _noise(settings: Settings, record: Record) -> float:
    """The relative difference between two times of the same work that this machine's own noise explains: three
    standard deviations of the reference's recorded seconds per step, for each of the two."""
    samples = StepTimeStore(settings.results).samples(record.fingerprint, record.suite, record.workload)
    if len(samples) < 2:
        return _LEAST_NOISE
    spread = statistics.stdev(samples) / statistics.mean(samples)
    return max(_LEAST_NOISE, _DEVIATIONS * math.sqrt(2) * spread)

"""Replays recorded trials under a stopping policy, one after the other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from scoring import times
from scoring.records import Evaluation, Outcome, Record
from scoring.stopping import FinishedTrial, FinishedTrials, Policy, TrialContext, finished_trial


def replay(records: Sequence[Record], policy: Policy, *, newcomer: str | None = None) -> tuple[list[Record], float]:
    """The records as the policy would have left them, and the seconds of submission time that it would have spent.

    With a `newcomer` only the trials of that submission are replayed and counted. Raises ValueError unless all that
    have trials on a workload have as many studies, as a plan gives them; see `with_lost_studies`.
    """
    groups = [times.studies(trials) for trials in by_pair(records).values()]
    if len(lengths := {len(group) for group in groups}) > 1:
        raise ValueError(f"from {min(lengths)} to {max(lengths)} studies a workload, expected as many of each")
    studies = max(lengths, default=0)
    trials = max((len(study) for group in groups for study in group), default=0)
    bases = {record.variant_of for record in records}
    longest = _longest(records)
    left: list[Record] = []
    done: defaultdict[tuple[str, str], list[FinishedTrial]] = defaultdict(list)
    spent = 0.0
    for record in sorted(records, key=lambda r: (newcomer is not None and r.submission == newcomer, *_order(r))):
        if newcomer is None or record.submission == newcomer:
            context = TrialContext(
                submission=record.submission,
                workload=record.workload,
                seed=record.seed,
                study=record.study,
                studies=studies,
                trials=trials,
                higher_is_better=record.higher_is_better,
                budget_s=record.budget_s or longest[record.workload],
                variant_of=record.variant_of,
                has_variants=record.workload in bases,
            )
            record, seconds = _play(record, policy, context, done)
            spent += seconds
        left.append(record)
        done[record.submission, record.workload].append(finished_trial(record))
    return left, spent


def in_full(record: Record) -> Record:
    """The same with as many evaluations as its curve tells, where an archive keeps no others."""
    if not record.skipped:
        return record
    return replace(
        record,
        evaluations=tuple(
            Evaluation(
                step=int(step),
                examples=int(examples),
                time_s=float(time_s),
                value=None if math.isnan(best) else float(best),
                train_loss=None,
            )
            for step, examples, time_s, best in record.learning_curve().table()
        ),
        skipped=0,
        curve=None,
    )


def with_lost_studies(records: Sequence[Record]) -> list[Record]:
    """The records, and a miss for each study that some have on a workload and others lack: a crash left no log."""
    planned = {(record.seed, record.study) for record in records}
    lacking = [
        replace(trials[0], seed=seed, study=study, evaluations=(), ledger=(), outcome=Outcome.ERROR)
        for trials in by_pair(records).values()
        for seed, study in sorted(planned - {(record.seed, record.study) for record in trials})
    ]
    return [*records, *lacking]


def _order(record: Record) -> tuple[bool, int, int, int, str, str]:
    return (
        record.variant_of is not None, record.seed, record.study, record.trial, record.workload, record.submission
    )  # fmt: skip


def _play(record: Record, policy: Policy, context: TrialContext, done: FinishedTrials) -> tuple[Record, float]:
    """The record as the policy leaves it, and its seconds of submission time."""
    rule = policy.rule(context, done)
    until_s, reached = rule.until_s, times.crossing(record)
    for index, evaluation in enumerate(record.evaluations):
        if evaluation.time_s >= until_s:
            return _stopped(record, index, until_s, rule.stop_reason(until_s, record.evaluations[:index]))
        if evaluation is reached:
            return _stopped(record, index + 1, evaluation.time_s, Outcome.REACHED)
        if why := rule.stop_reason(evaluation.time_s, record.evaluations[: index + 1]):
            return _stopped(record, index + 1, evaluation.time_s, why)
    if record.submission_s >= until_s:
        why = rule.stop_reason(until_s, record.evaluations)
        return _stopped(record, len(record.evaluations), until_s, why)
    return record, record.submission_s


def _stopped(record: Record, evaluations: int, time_s: float, outcome: Outcome | None) -> tuple[Record, float]:
    assert outcome is not None, f"no reason to stop {record.key} at {time_s} s"
    made = record.evaluations[:evaluations]
    if record.outcome is Outcome.ERROR:  # it may have broken a rule: never a hit
        outcome = Outcome.ERROR
    return replace(record, evaluations=made, ledger=(("training", time_s),), outcome=outcome), time_s


def _longest(records: Sequence[Record]) -> dict[str, float]:
    """The seconds of the longest trial on each workload: its budget where logs lack it, which is then 0."""
    longest: defaultdict[str, float] = defaultdict(float)
    for record in records:
        longest[record.workload] = max(longest[record.workload], record.submission_s)
    return dict(longest)


def by_pair(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The records by (submission, workload)."""
    trials: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        trials[record.submission, record.workload].append(record)
    return dict(trials)

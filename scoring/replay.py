"""What a stopping policy would have saved on trials that ran to their end, and what it would have done to scores.

Hours are those of submission time. The order that is assumed: one trial at a time, base workloads before their
variants, then by study, by trial, by workload and by submission's name. Trials that run side by side know less of
each other, so a cluster saves less. A trial ends at its target here, as the harness ends it, where its log goes on.

Scores are over base workloads, the anchored one too.

Two settings, both printed. In a *bench* all submissions start from nothing and every one is replayed. A *newcomer*
is replayed alone, all others being recorded in full; each submission is the newcomer once. Whatever a policy learns
for a submission, it learns from others and from that submission's own earlier trials, as a live harness could.

A strictness that is picked by looking at its errors needs trials that it was not picked on. For each submission the
line "picked on the others" takes the cheapest strictness that moves no score of the others by more than 0.01, their
replays made as if that submission had never run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from pacer.errors import UsageError
from scoring import scores, times
from scoring.query import BoardQuery
from scoring.records import Outcome, Record
from scoring.selection import select
from scoring.stopping import (
    AllOf,
    Cells,
    Finished,
    GiveUp,
    Median,
    OwnStudy,
    Policy,
    Start,
    exact,
    finished,
    forecast,
)

TOLERANCE = 0.01
"""The largest change of a score that may pass for none."""

_HOUR = 3600.0


def families(reference: str | None) -> dict[str, dict[str, Policy]]:
    """The policies to try by family; a family's members differ in strictness, the mildest first.

    Those that foresee come with the exact ones. `reference` as in `Cut`.
    """
    sure = exact(reference, held_out=True)
    return {
        "exact": {
            "at the target": AllOf(),
            "+ own study": OwnStudy(),
            "+ median": AllOf((OwnStudy(), Median())),
            "+ 4 x cut": exact(reference),
            "+ base missed": sure,
        },
        "give-up": {f"misses {n}": AllOf((sure, GiveUp(n))) for n in (3, 2, 1)},
        "forecast": {f"slack {slack:g}": forecast(sure, slack) for slack in _SLACKS},
    }


_SLACKS = (4.0, 3.0, 2.0, 1.5, 1.25, 1.0)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a policy did: seconds of submission time that it spent, the largest change of any submission's score by
    score, and the (submission, workload) whose credit fell to 0 in either."""

    spent_s: float
    changes: Mapping[str, float]
    lost: tuple[tuple[str, str], ...]

    @property
    def change(self) -> float:
        """The largest change of any score."""
        return max(self.changes.values())


@dataclass(frozen=True, kw_only=True)
class Line:
    """One policy: its effect on a bench, and on all newcomers together."""

    family: str
    label: str
    bench: Effect
    newcomer: Effect


@dataclass(frozen=True, kw_only=True)
class Picked:
    """The label that was picked for each submission on the others, and what those did to them as newcomers."""

    labels: Mapping[str, str]
    newcomer: Effect


@dataclass(frozen=True, kw_only=True)
class Report:
    """The lines of a suite, and what was picked by family."""

    suite: str
    ruleset: str
    reference: str | None
    submissions: tuple[str, ...]
    trials: int
    logged_s: float
    lines: tuple[Line, ...]
    picked: Mapping[str, Picked]


def replay(records: Sequence[Record], policy: Policy, *, newcomer: str | None = None) -> tuple[list[Record], float]:
    """The records as the policy would have left them, and the seconds of submission time that it would have spent.

    With a `newcomer` only the trials of that submission are replayed and counted. Raises ValueError unless all that
    have trials on a workload have as many studies, as a plan gives them; see `whole`.
    """
    groups = [times.studies(trials) for trials in _cells(records).values()]
    if len(lengths := {len(group) for group in groups}) > 1:
        raise ValueError(f"from {min(lengths)} to {max(lengths)} studies a workload, expected as many of each")
    studies = max(lengths, default=0)
    trials = max((len(study) for group in groups for study in group), default=0)
    bases = {record.variant_of for record in records}
    longest = _longest(records)
    left: list[Record] = []
    cells: defaultdict[tuple[str, str], list[Finished]] = defaultdict(list)
    spent = 0.0
    for record in sorted(records, key=lambda r: (newcomer is not None and r.submission == newcomer, *_place(r))):
        if newcomer is None or record.submission == newcomer:
            start = Start(
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
            record, seconds = _play(record, policy, start, cells)
            spent += seconds
        left.append(record)
        cells[record.submission, record.workload].append(finished(record))
    return left, spent


def whole(records: Sequence[Record]) -> list[Record]:
    """The records, and a miss for each study that some have on a workload and others lack: a crash left no log."""
    planned = {(record.seed, record.study) for record in records}
    lacking = [
        replace(trials[0], seed=seed, study=study, evaluations=(), ledger=(), outcome=Outcome.ERROR)
        for trials in _cells(records).values()
        for seed, study in sorted(planned - {(record.seed, record.study) for record in trials})
    ]
    return [*records, *lacking]


def report(
    records: Sequence[Record],
    *,
    suite: str,
    ruleset: str,
    reference: str | None = None,
    only: Sequence[str] | None = None,
) -> Report:
    """Replays a suite under every policy, or under the families named in `only`.

    `reference` is what the anchored score and the cut compare with; None where the budget stands for it. Raises
    RecordsError where there are no trials, UsageError for a family or a reference that there is not.
    """
    tried = families(reference)
    if unknown := set(only or ()) - tried.keys():
        raise UsageError(f"no policy {sorted(unknown)[0]!r}; there are {', '.join(tried)}")
    workloads = sorted(
        {r.workload for r in records if r.suite == suite and r.ruleset == ruleset and r.target is not None}
    )
    chosen = select(records, BoardQuery(suite=suite, workloads=workloads or None, ruleset=ruleset))
    if reference is not None and reference not in chosen.submissions:
        raise UsageError(f"the reference {reference!r} has no trials; there are {', '.join(chosen.submissions)}")
    ours = whole([record for trials in chosen.trials.values() for record in trials])
    lines, picked = [], {}
    for family, policies in tried.items():
        if only and family not in only:
            continue
        alone = {label: _newcomers(ours, policy, reference) for label, policy in policies.items()}
        lines += [
            Line(
                family=family,
                label=label,
                bench=_effect(ours, *replay(ours, policy), reference),
                newcomer=_together(alone[label].values()),
            )
            for label, policy in policies.items()
        ]
        if family != "exact" and len(chosen.submissions) > 1:
            labels = {name: _pick(ours, policies, name, reference) for name in chosen.submissions}
            effects = [alone[label][name] for name, label in labels.items()]
            picked[family] = Picked(labels=labels, newcomer=_together(effects))
    return Report(
        suite=suite,
        ruleset=ruleset,
        reference=reference,
        submissions=chosen.submissions,
        trials=chosen.count,
        logged_s=sum(record.submission_s for record in ours),
        lines=tuple(lines),
        picked=picked,
    )


def as_text(report: Report) -> str:
    """The report as a table for a terminal."""
    hours = report.logged_s / _HOUR
    mark = "the budget" if report.reference is None else report.reference
    wide = max(len(line.label) for line in report.lines)
    rows = [
        f"{report.suite} ({report.ruleset}): {report.trials} trials of {len(report.submissions)} submissions, "
        f"{hours:.4g} hours of submission time; anchored at {mark}",
        f"{'':{wide}}  {'bench, all from nothing':^36}   {'newcomer, the others known':^36}",
        f"{'':{wide}}  {_HEAD}   {_HEAD}",
    ]
    for family, lines in groupby(report.lines, key=lambda line: line.family):
        rows.append(family)
        rows += [f"{line.label:{wide}}  {_row(line.bench, hours)}   {_row(line.newcomer, hours)}" for line in lines]
        if family in report.picked:
            rows.append(f"{'picked on the others':{wide + 38}}   {_row(report.picked[family].newcomer, hours)}")
    rows.append(
        f"hours and times cheaper; largest change of any score, algoperf and anchored; workloads lost, of "
        f"{len(report.submissions)} submissions: too few to bound what a policy does to the next one"
    )
    for family, picked in report.picked.items():
        rows.append(f"{family} picked: {', '.join(f'{label} for {name}' for name, label in picked.labels.items())}")
    for line in report.lines:
        for setting, effect in (("bench", line.bench), ("newcomer", line.newcomer)):
            if effect.lost:
                lost = ", ".join(f"{submission} {workload}" for submission, workload in effect.lost)
                rows.append(f"{line.family} {line.label} loses, {setting}: {lost}")
    return "\n".join(rows)


_HEAD = "  hours  cheaper  algoperf  anchored lost"


def _row(effect: Effect, hours: float) -> str:
    spent = effect.spent_s / _HOUR
    changes = "  ".join(f"{effect.changes[name]:8.4f}" for name in ("algoperf", "anchored"))
    return f"{spent:7.4g}  {_times(hours, spent):6.2f}x  {changes}  {len(effect.lost):3d}"


def _times(hours: float, spent: float) -> float:
    return hours / spent if spent else math.inf


def curves(report: Report) -> dict[str, list[tuple[float, float]]]:
    """(largest score change, times cheaper) of each family's newcomers, the mildest first: for a chart."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in report.lines:
        point = (line.newcomer.change, _times(report.logged_s, line.newcomer.spent_s))
        found.setdefault(line.family, []).append(point)
    return found


def _place(record: Record) -> tuple[bool, int, int, int, str, str]:
    return (
        record.variant_of is not None, record.seed, record.study, record.trial, record.workload, record.submission
    )  # fmt: skip


def _play(record: Record, policy: Policy, start: Start, cells: Cells) -> tuple[Record, float]:
    """The record as the policy leaves it, and its seconds of submission time."""
    rule = policy.rule(start, cells)
    until_s, reached = rule.until_s, times.crossing(record)
    for place, evaluation in enumerate(record.evaluations):
        if evaluation.time_s >= until_s:
            return _stopped(record, place, until_s, rule.stop_reason(until_s, record.evaluations[:place]))
        if evaluation is reached:
            return _stopped(record, place + 1, evaluation.time_s, Outcome.REACHED)
        if why := rule.stop_reason(evaluation.time_s, record.evaluations[: place + 1]):
            return _stopped(record, place + 1, evaluation.time_s, why)
    if record.submission_s >= until_s:
        why = rule.stop_reason(until_s, record.evaluations)
        return _stopped(record, len(record.evaluations), until_s, why)
    return record, record.submission_s


def _stopped(record: Record, evaluations: int, time_s: float, outcome: Outcome | None) -> tuple[Record, float]:
    assert outcome is not None, f"no reason to stop {record.key} at {time_s} s"
    shown = record.evaluations[:evaluations]
    if record.outcome is Outcome.ERROR:  # what it broke may be a rule: never a hit
        outcome = Outcome.ERROR
    return replace(record, evaluations=shown, ledger=(("training", time_s),), outcome=outcome), time_s


def _longest(records: Sequence[Record]) -> dict[str, float]:
    """The longest that a trial ran on each workload: the budget where logs do not tell it, so that it is 0."""
    longest: defaultdict[str, float] = defaultdict(float)
    for record in records:
        longest[record.workload] = max(longest[record.workload], record.submission_s)
    return dict(longest)


def _cells(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    cells: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        cells[record.submission, record.workload].append(record)
    return dict(cells)


def credits(records: Sequence[Record], reference: str | None) -> dict[str, dict[tuple[str, str], float]]:
    """The credit of every (submission, base workload) by score: "algoperf" with its held-out rules, "anchored"."""
    submissions = sorted({r.submission for r in records})
    bases = sorted({r.workload for r in records if r.variant_of is None})
    variants = {r.workload: r.variant_of for r in records if r.variant_of in bases}
    values = times.median(times.collect(_cells(records), submissions, [*bases, *variants], "time").time_s)
    held_out = {len(bases) + v: bases.index(base) for v, base in enumerate(variants.values())}
    budget = np.array([times.budget([r for r in records if r.workload == name], "time") for name in bases])
    at = submissions.index(reference) if reference in submissions else None
    by_score = {
        "algoperf": scores.algoperf(values, held_out=held_out),
        "anchored": scores.anchored(values[:, : len(bases)], reference=at, budget=budget),
    }
    return {
        name: {(s, w): float(credit[i, j]) for i, s in enumerate(submissions) for j, w in enumerate(bases)}
        for name, credit in by_score.items()
    }


def _effect(before: Sequence[Record], after: Sequence[Record], spent_s: float, reference: str | None) -> Effect:
    were, are = credits(before, reference), credits(after, reference)
    old, new = ({name: _scores(credit) for name, credit in both.items()} for both in (were, are))
    changes = {name: max(abs(old[name][s] - new[name][s]) for s in old[name]) for name in old}
    lost = {key for name in were for key, credit in were[name].items() if credit > 0 and are[name][key] == 0}
    return Effect(spent_s=spent_s, changes=changes, lost=tuple(sorted(lost)))


def _scores(credit: Mapping[tuple[str, str], float]) -> dict[str, float]:
    by_submission: defaultdict[str, list[float]] = defaultdict(list)
    for (submission, _), value in credit.items():
        by_submission[submission].append(value)
    return {name: sum(values) / len(values) for name, values in by_submission.items()}


def _newcomers(records: Sequence[Record], policy: Policy, reference: str | None) -> dict[str, Effect]:
    """The effect on each submission in turn, the others known."""
    names = sorted({record.submission for record in records})
    return {name: _effect(records, *replay(records, policy, newcomer=name), reference) for name in names}


def _together(effects: Collection[Effect]) -> Effect:
    return Effect(
        spent_s=sum(effect.spent_s for effect in effects),
        changes={name: max(effect.changes[name] for effect in effects) for name in next(iter(effects)).changes},
        lost=tuple(sorted({key for effect in effects for key in effect.lost})),
    )


def _pick(records: Sequence[Record], policies: Mapping[str, Policy], submission: str, reference: str | None) -> str:
    """The cheapest policy that moves no score by more than the tolerance where `submission` has never run.

    The mildest, which comes first, where they all do.
    """
    others = [record for record in records if record.submission != submission]
    effects = {
        label: _together(_newcomers(others, policy, reference).values()) for label, policy in policies.items()
    }
    fit = [label for label, effect in effects.items() if effect.change <= TOLERANCE] or [next(iter(policies))]
    return min(fit, key=lambda label: effects[label].spent_s)

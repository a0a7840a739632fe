"""`bench --spend adaptive`: one study of each submission, then further ones where they decide (scoring.spend)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from harness.cluster.cluster import Cluster
from harness.cluster.connect import connected
from harness.protocol.choose import chosen_submissions, chosen_workloads, expanded
from harness.protocol.plan import Recorded, plan
from harness.protocol.settings import Settings
from harness.report.progress import TrialProgress
from harness.report.words import duration
from harness.runs.bench import bench, prepared
from harness.runs.bench_report import BenchReport
from scoring.ladder import climb
from scoring.query import BoardQuery
from scoring.records import Record, RecordStore
from scoring.records.protocol import REFERENCE
from scoring.selection import Selection, select
from scoring.spend import Pair, Rule, Standing, device_s_to, neighbours, next_studies, standing
from scoring.versus import Verdict
from submissions.about import about
from submissions.registry import SubmissionRef, known, resolve

_BATCHES = 2
"""Trials for each device that a round has at least, so that few devices wait for its last one."""


@dataclass(frozen=True, kw_only=True)
class Enough:
    """When to stop: once a share `decided` of the pairs is, or after `budget_h` hours of device time. Each pair is
    decided wrongly with a probability of 5 % at most."""

    decided: float = 0.8
    budget_h: float = math.inf
    rule: Rule = field(default_factory=Rule)


def adaptive(settings: Settings, enough: Enough, console: Console) -> Iterator[BenchReport]:
    """Runs benches of one study more where that decides most, at most as many as the settings ask for; yields each
    bench's report.

    The pairs that count are neighbours on the board, claims whose two submissions are here, and each submission
    from elsewhere against what it names as its baseline, or against the reference. Raises UsageError for settings
    that cannot be run.
    """
    submissions = chosen_submissions(settings)
    specs = {resolve(spec).name: spec for spec in (REFERENCE, *expanded(settings.submissions))}
    spent_s = 0.0
    with connected(settings, console) as cluster:  # one for all benches, so that each is quick to start
        console.print(_forecast(settings, submissions, enough, cluster, console), highlight=False, soft_wrap=True)
        wanted = _begun(settings, specs)
        while True:
            reports = [
                bench(replace(settings, submissions=tuple(own), studies=studies), console, cluster)
                for studies, own in _by_studies(wanted, specs).items()
            ]
            yield from reports
            spent_s += sum(report.running_s * report.devices for report in reports)
            stand = _Stand.of(settings, submissions, reports[-1], enough.rule)
            fill = math.ceil(_BATCHES * cluster.devices / (len(reports[-1].workloads) * settings.trials))
            left_s = 3600.0 * enough.budget_h - spent_s
            wanted = stand.next(settings.studies, fill, left_s) if stand.where.share < enough.decided else {}
            lost = spent_s > 0.0 and not any(report.trials_run for report in reports)
            over = lost or not wanted
            console.print(stand.line(settings.studies, spent_s, enough, over=over), highlight=False, soft_wrap=True)
            if over:
                return


def _begun(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """One study of each, or those that an earlier bench began, as it may have been stopped."""
    begun = dict.fromkeys(names, 1)
    for stored in RecordStore(settings.results, settings.suite).scan([]):
        record = stored.record
        ours = (record.ruleset, record.seed) == (settings.ruleset, settings.seed)
        if ours and record.submission in begun and record.study < settings.studies:
            begun[record.submission] = max(begun[record.submission], record.study + 1)
    return begun


def _by_studies(wanted: dict[str, int], specs: dict[str, str]) -> dict[int, list[str]]:
    """The submissions that are to have so many studies, the most of them last."""
    groups: defaultdict[int, list[str]] = defaultdict(list)
    for name, studies in wanted.items():
        groups[studies].append(specs[name])
    return dict(sorted(groups.items()))


def _forecast(
    settings: Settings,
    submissions: Sequence[SubmissionRef],
    enough: Enough,
    cluster: Cluster,
    console: Console,
) -> str:
    """What lies ahead, before any trial starts."""
    workloads = chosen_workloads(settings)
    step_times = prepared(settings, workloads, cluster, console)
    fingerprint = cluster.hardware.fingerprint

    def device_s(studies: int) -> tuple[int, str]:
        asked = replace(settings, studies=studies)
        nothing = Recorded(asked, workloads, submissions, fingerprint)
        trials = plan(asked, workloads, submissions, step_times, nothing, fingerprint)
        seconds = TrialProgress(trials, cluster.devices, console).seconds_left() * cluster.devices
        return len(trials), duration(seconds)

    (one, one_s), (most, most_s) = device_s(1), device_s(settings.studies)
    end = f"once {enough.decided:.0%} of the pairs are decided"
    if math.isfinite(enough.budget_h):
        end += f" or {duration(3600.0 * enough.budget_h)} of device time are spent"
    return (
        f"adaptive forecast: a study of each takes {one} trials, about {one_s} of device time, and all "
        f"{settings.studies} studies {most} trials, about {most_s}; it ends in between, {end}"
    )


@dataclass(frozen=True, kw_only=True)
class _Stand:
    """Where an adaptive bench stands: submissions, their studies, device seconds of one of each, and the pairs."""

    names: tuple[str, ...]
    have: list[int]
    seconds: list[float]
    where: Standing

    @classmethod
    def of(
        cls, settings: Settings, submissions: Sequence[SubmissionRef], report: BenchReport, rule: Rule
    ) -> _Stand:
        """From the records of the bench's own submissions and seed."""
        versions = {(ref.name, ref.hash) for ref in submissions}
        records = [
            stored.record
            for stored in RecordStore(settings.results, settings.suite).brief()[0]
            if (stored.record.submission, stored.record.submission_hash) in versions
            and stored.record.seed == settings.seed
            and stored.record.study < settings.studies
        ]
        query = BoardQuery(
            suite=settings.suite,
            ruleset=settings.ruleset,
            workloads=report.workloads,
            fingerprint=report.fingerprint,
        )
        chosen = select(records, query)
        climbed = climb(chosen, REFERENCE)
        logs = climbed.on["time"]
        names = chosen.submissions
        pairs = dict.fromkeys((*neighbours(logs, climbed.reference), *_of_interest(submissions, names)))
        unique = {frozenset(pair): pair for pair in pairs}
        return cls(
            names=names,
            have=[_complete(chosen, name) for name in names],
            seconds=[_seconds_of_study(chosen, name) for name in names],
            where=standing(logs, climbed.reference, tuple(unique.values()), rule),
        )

    def next(self, most: int, fill: int, within_s: float) -> dict[str, int]:
        """The submissions that get more studies, by name; empty where nothing is left to do."""
        found = next_studies(self.where, self.have, self.seconds, most=most, fill=fill, within_s=within_s)
        return {self.names[s]: studies for s, studies in found.items()}

    def line(self, most: int, spent_s: float, enough: Enough, *, over: bool) -> str:
        """What is decided, what it took, and how much more it may take."""
        where = self.where
        text = (
            f"adaptive: {where.decided} of {len(where.pairs)} pairs decided ({where.share:.0%}), "
            f"{sum(self.have)} studies, {duration(spent_s)} of device time"
        )
        if not over:
            left_s = device_s_to(where, self.have, self.seconds, share=enough.decided, most=most)
            return text + (
                f"; about {duration(left_s)} more to {enough.decided:.0%}"
                if left_s is not None
                else f"; {most} studies will probably not come to {enough.decided:.0%}"
            )
        open_pairs = [
            f"{self.names[a]} and {self.names[b]}" + (f" ({more} more studies)" if more else "")
            for (a, b), verdict, more in zip(where.pairs, where.verdicts, where.more, strict=True)
            if verdict is Verdict.UNDECIDED
        ]
        return text + (f"; undecided: {', '.join(open_pairs)}" if open_pairs else "")


def _complete(chosen: Selection, name: str) -> int:
    """How many studies, from the first on, have trials on every workload."""
    by_workload = [{r.study for r in chosen.trials.get((name, w), ())} for w in chosen.workloads]
    common = set.intersection(*by_workload)
    return next(study for study in range(len(common) + 1) if study not in common)


def _seconds_of_study(chosen: Selection, name: str) -> float:
    """Device seconds of one study on all workloads, a mean over those that there are."""
    return sum(_seconds(trials) for (own, _), trials in chosen.trials.items() if own == name)


def _seconds(trials: Sequence[Record]) -> float:
    return sum(record.wall_s for record in trials) / len({record.study for record in trials})


def _of_interest(submissions: Sequence[SubmissionRef], names: Sequence[str]) -> list[Pair]:
    """Each submission and its baseline, as rows of `names`, where both are there."""
    rows = {name: row for row, name in enumerate(names)}
    folder, pairs = known(), []
    for ref in submissions:
        base, at, defaults = ref.name.partition("@")
        named = about(ref.text).against if ref.filename is not None and ref.folder is None else None
        against = f"{named}{at}{defaults}" if named else None if base in folder else REFERENCE
        if against is not None and against != ref.name and {against, ref.name} <= rows.keys():
            pairs.append((rows[ref.name], rows[against]))
    return pairs

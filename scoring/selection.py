"""Which records a board is made of: one suite, ruleset and hardware, the newest of each submission and workload."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pacer.errors import RecordsError
from scoring.names import needs_targets
from scoring.query import BoardQuery
from scoring.records import Outcome, Record
from scoring.times import studies


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The records in use, by (submission, workload), and what was left out or is uneven as warnings."""

    trials: dict[tuple[str, str], list[Record]]
    submissions: tuple[str, ...]
    workloads: tuple[str, ...]
    fingerprint: str
    hardware: str
    count: int
    code: tuple[str, ...]
    warnings: tuple[str, ...]

    def reason(self, submission: str, workload: str) -> str | None:
        """Why the submission is not made for the workload, in its own words; None where it is."""
        trials = self.trials.get((submission, workload), ())
        return next((r.reason for r in trials if r.outcome is Outcome.UNSUITABLE), None)

    @property
    def held_out(self) -> dict[int, int]:
        """The column of each variant whose base workload is here too, and the column of that one."""
        base = {r.workload: r.variant_of for trials in self.trials.values() for r in trials[:1]}
        columns = {workload: column for column, workload in enumerate(self.workloads)}
        return {columns[w]: columns[b] for w in self.workloads if (b := base.get(w)) is not None and b in columns}

    def of_workload(self, workload: str) -> list[Record]:
        """All trials on one workload."""
        return [r for (_, name), trials in self.trials.items() if name == workload for r in trials]


def select(records: Sequence[Record], query: BoardQuery) -> Selection:
    """The records of a board.

    Raises RecordsError where nothing is left, saying what there is and what to type.
    """
    suite, ruleset = query.suite, query.ruleset
    warnings: list[str] = []
    targets = needs_targets(query.score)
    aimed = [r for r in records if r.target is not None or not targets]
    ours = [r for r in aimed if r.suite == suite and r.ruleset == ruleset]
    if not ours:
        others = sorted({(r.suite, r.ruleset) for r in aimed})
        there = f"; there are some of {some([f'{s} ({rule})' for s, rule in others])}" if others else ""
        raise RecordsError(f"no finished trials of suite {suite} with ruleset {ruleset}{there}; {query.advice}")
    sizes = Counter(r.fingerprint for r in ours)
    chosen = query.fingerprint or min(sizes, key=lambda name: (-sizes[name], name))
    if chosen not in sizes:
        raise RecordsError(
            f"no finished trials on hardware {query.fingerprint}; there are some on {some(sorted(sizes))}; "
            "run: make bench on that hardware, or leave the fingerprint out"
        )
    if elsewhere := [f"{name} ({n} trials)" for name, n in sorted(sizes.items()) if name != chosen]:
        warnings.append(f"other hardware is left out, times do not compare across it: {some(elsewhere)}")
    ours = [r for r in ours if r.fingerprint == chosen]
    submissions = tuple(sorted({r.submission for r in ours}))

    seen = sorted({r.workload for r in ours if r.variant_of is None})
    wanted = tuple(seen if query.workloads is None else dict.fromkeys(query.workloads))
    if not wanted:
        raise RecordsError(f"suite {suite} has no workloads; name at least one")
    if foreign := Counter(r.workload for r in ours if r.workload not in wanted):
        warnings.append(
            f"{foreign.total()} trials on other workloads are not on this board: {some(sorted(foreign))}"
        )
    newest_submission = _newest(ours, "submission")
    current = [r for r in ours if r.workload in wanted]
    newest_workload = _newest(current, "workload")
    kept = [
        r
        for r in current
        if r.workload_hash == newest_workload[r.workload] and r.submission_hash == newest_submission[r.submission]
    ]
    if stale := len(current) - len(kept):
        warnings.append(f"{stale} trials of earlier versions of a submission or workload are left out")
    if not kept:
        raise RecordsError(
            f"no finished trials of the present version on {some(list(wanted))} in suite {suite}; {query.advice}"
        )

    trials: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in kept:
        trials[record.submission, record.workload].append(record)
    code = tuple(sorted({r.code for r in kept}))
    if len(code) > 1:
        warnings.append(f"the trials were made by {len(code)} versions of Pacer: {some(list(code))}")
    return Selection(
        trials=dict(trials),
        submissions=submissions,
        workloads=wanted,
        fingerprint=chosen,
        hardware=max(kept, key=lambda r: r.ended).hardware,
        count=len(kept),
        code=code,
        warnings=tuple(warnings + _uneven(trials, submissions, wanted, query.advice)),
    )


def _newest(records: Sequence[Record], kind: str) -> dict[str, str]:
    """The hash of each submission or workload whose trial ended last."""
    return {getattr(r, kind): getattr(r, f"{kind}_hash") for r in sorted(records, key=lambda r: r.ended)}


def _uneven(
    trials: Mapping[tuple[str, str], Sequence[Record]],
    submissions: Sequence[str],
    workloads: Sequence[str],
    remedy: str,
) -> list[str]:
    """Warnings about workloads without trials, with fewer studies, or with fewer trials a study than others."""
    warnings = []
    untried = [w for w in workloads if not any((s, w) in trials for s in submissions)]
    if untried:
        warnings.append(f"no trials at all on {some(untried)}: a miss for everyone; {remedy}")
    missing = {s: [w for w in workloads if w not in untried and (s, w) not in trials] for s in submissions}
    if gaps := [f"{s} on {some(names)}" for s, names in missing.items() if names]:
        warnings.append(f"no trials, counted as a miss: {some(gaps)}; {remedy}")
    grouped = {key: studies(own) for key, own in trials.items()}
    counts = {key: len(group) for key, group in grouped.items()}
    most = max(counts.values())
    if fewer := [f"{s} on {w} ({n})" for (s, w), n in sorted(counts.items()) if n < most]:
        warnings.append(f"fewer than {most} studies: {some(fewer)}")
    if most == 1:
        warnings.append("1 study a workload: how far another would be is not known; run: make bench STUDIES=3")
    elif most < 3:
        warnings.append(f"{_plural(most, 'study', 'studies')} a workload: intervals mean little with fewer than 3")
    full = max(len(study) for group in grouped.values() for study in group)
    # A study may end early by rights once it cannot improve, but only with a trial that reached the target.
    short = [
        f"{s} on {w}"
        for (s, w), group in sorted(grouped.items())
        if any(len(study) < full and all(r.outcome is not Outcome.REACHED for r in study) for study in group)
    ]
    if short:
        warnings.append(f"studies with fewer than {full} trials and no hit among them: {some(short)}")
    return warnings


def some(items: Sequence[str], most: int = 4) -> str:
    """The items in a line, the first few where there are many."""
    rest = len(items) - most
    return ", ".join(items) if rest <= 0 else f"{', '.join(items[:most])} and {rest} more"


def _plural(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"

"""What a reader of a board should know before believing it, a sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from scoring import times
from scoring.escape import plain
from scoring.ladder import Ladder
from scoring.query import BoardQuery
from scoring.records import CONTENTION_SHARE, Outcome, Record
from scoring.scores import Array
from scoring.selection import Selection, some
from scoring.times import Times

_GUARDS = ("files", "network", "processes")
"""What the kernel should keep a submission from, as harness.system.sandbox names it."""

_LEAP = 0.05
"""A share of the reference's time or examples in which no training algorithm comes to the target."""


def about_ladder(chosen: Selection, climbed: Ladder) -> list[str]:
    """What the ladder score cannot tell."""
    warnings: list[str] = []
    reference = chosen.submissions[climbed.reference]
    if without := [w for w in chosen.workloads if w not in climbed.levels]:
        warnings.append(
            f"no ladder, and no part of the score, where {plain(reference)} has no curve: {', '.join(without)}"
        )
    if single := [w for w, levels in climbed.levels.items() if len(levels) == 1]:
        warnings.append(
            f"these records keep the ends of curves only: the ladder has one level on {some(single)}, and a miss "
            "counts no worse than it surely is"
        )
    return warnings


def about_reference(chosen: Selection, query: BoardQuery, row: int | None, medians: Array) -> list[str]:
    """What it means where the reference was not run, or misses. `row`: its row of the medians [S, W], if any."""
    warnings: list[str] = []
    reference = query.reference
    if row is None:
        warnings.append(
            f"no trials of the reference {reference}: the budget stands for its value on every workload, so "
            f"0.5 is not level with it; {query.advice}, with {reference} among the submissions"
        )
    elif missed := [w for w, value in zip(chosen.workloads, medians[row], strict=True) if not np.isfinite(value)]:
        known = query.by != "time" or all(r.budget_s for w in missed for r in chosen.trials.get((reference, w), ()))
        mark = "its budget" if known else "what it used of its budget, which is not known,"
        warnings.append(
            f"the reference {reference} misses {', '.join(missed)}: {mark} stands for its value "
            "there, a lower bound, and it earns 0 itself"
        )
    return warnings


def about_stopped(chosen: Selection, by: str) -> list[str]:
    """What trials that were stopped early may hide."""
    outcomes = Counter(r.outcome for trials in chosen.trials.values() for r in trials)
    settled = outcomes[Outcome.SETTLED] + outcomes[Outcome.CUT]
    warnings: list[str] = []
    if predicted := outcomes[Outcome.UNPROMISING]:
        warnings.append(f"{predicted} trials were stopped as they were predicted to miss; they count as misses")
    if settled:
        warnings.append(
            f"{settled} trials were stopped when no score could change any more; they count as misses, so that "
            "intervals may be too narrow"
        )
    if by != "time" and (outrun := outcomes[Outcome.OUTRUN] + settled):
        warnings.append(
            f"{outrun} trials were stopped once they could change no score by time; they may have needed fewer {by}"
        )
    return warnings


def about_guards(chosen: Selection) -> list[str]:
    """What submissions could do as the kernel did not keep them from it."""
    known = [r.guards for trials in chosen.trials.values() for r in trials if r.guards is not None]
    free = sum(not guards for guards in known)
    warnings: list[str] = []
    if free:
        warnings.append(
            f"unsandboxed: in {free} of {len(known)} trials the submission could read and write what it liked; "
            "type: python -m harness doctor"
        )
    for guard in _GUARDS:
        if lacking := sum(bool(guards) and guard not in guards for guards in known):
            warnings.append(f"partly sandboxed: {lacking} of {len(known)} trials ran without the guard {guard!r}")
    return warnings


def about_contention(chosen: Selection, by: str) -> list[str]:
    """Where other work on the same cores made times longer, by all that it took or by what it cost besides."""
    known = [r for trials in chosen.trials.values() for r in trials if r.contention_share is not None]
    by_wall = [r for r in known if r.busy and r.waited_s is None]
    by_core = [r for r in known if r.busy and r.waited_s is not None]
    costs = (
        "which is off their clocks; what shared caches and a lower turbo cost is on them, so their times may be "
        "10 to 25 % too long"
    )
    warnings: list[str] = []
    if by == "time" and by_wall:
        warnings.append(_busy(by_wall, len(known), "so their times are too long"))
    if by == "time" and by_core:
        warnings.append(_busy(by_core, len(known), costs))
    return warnings


def _busy(records: Sequence[Record], of: int, effect: str) -> str:
    worst = max(records, key=lambda r: r.contention_share or 0.0)
    return (
        f"busy machine: in {len(records)} of {of} trials other work took more than {CONTENTION_SHARE:.0%} "
        f"of the trial's core (at worst {worst.contention_share:.0%}, from {plain(worst.submission)} on "
        f"{worst.workload}), {effect}; "
        "end other programs, then measure anew: make bench RESULTS=another-folder"
    )


def about_counts(chosen: Selection, by: str) -> list[str]:
    """What steps and examples rest on, where the board ranks by them and trials were run here."""
    if by == "time" or all(r.guards is None for trials in chosen.trials.values() for r in trials):
        return []
    return [f"{by} are counted in the submission's own process; only time is measured from outside"]


def about_leaps(chosen: Selection, results: Times, at: int | None) -> list[str]:
    """Results too good to be training from the initial weights, as those of a submission that brought weights.

    Where the reference misses, what it used up stands for its result.
    """
    if at is None:
        return []
    axes = np.stack([times.median(results.time_s), times.median(results.examples)])  # [2, S, W]
    marks = np.where(np.isinf(axes[:, at]), _used_up(chosen, chosen.submissions[at]), axes[:, at])  # [2, W]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = axes / marks[:, None]
    leapt = np.any(shares < _LEAP, axis=0)  # [S, W]; not where one of the two is missing
    return [
        f"implausible: {plain(submission)} takes less than 1/{1 / _LEAP:.0f} of the reference's time or examples "
        f"on {', '.join(w for w, leaps in zip(chosen.workloads, row, strict=True) if leaps)}; look at its source "
        "for weights that it brings along"
        for submission, row in zip(chosen.submissions, leapt.tolist(), strict=True)
        if any(row)
    ]


def _used_up(chosen: Selection, submission: str) -> np.ndarray:
    """Seconds and examples that a submission had taken at its last evaluations, [2, W]: medians over its trials."""
    used = np.full((2, len(chosen.workloads)), np.nan)
    for column, workload in enumerate(chosen.workloads):
        ends = [r.evaluations[-1] for r in chosen.trials.get((submission, workload), ()) if r.evaluations]
        if ends:
            used[:, column] = np.median([(end.time_s, end.examples) for end in ends], axis=0)
    return used

"""The leaderboard as a value: records in, ranked rows with intervals, ties and warnings out."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from pacer.errors import RecordsError, UsageError
from scoring import caveats, scores, times
from scoring.bootstrap import draw_scores, interval, p_ahead, tie_groups
from scoring.records import Outcome, Record, finite
from scoring.robustness import changes_of_winner
from scoring.rules import RULES, Rule
from scoring.selection import REMEDY, Selection, select

_PROFILE_POINTS = 301  # steps of 0.01
_LONGEST_MESSAGE = 120


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one submission did on one workload. A cell without trials is a miss with `studies` 0.

    `time_s`, `steps`, `examples`: seconds, updates and examples to the target, each the median over studies of the
    trial that decided the study, None for a miss. `reached`: whether that median exists, so more than half of the
    studies reached the target. `value`: the one of the three that the board ranks by. `ratio`: value / reference's
    value (or the reference's budget where it missed), None for a miss. `credit`: in [0, 1], what the cell adds to
    the score before the mean, None on a held-out workload, whose part is to make a miss of its base. `spread`:
    (max - min) / median over the studies that reached the target, None for fewer than two. `sustained`: whether the
    evaluation after the crossing met the target too, in every study that made one; None where no study did.
    `failures`: what broke trials, such as "2 x error in update (my.py:12): ValueError: bad beta". `unsuitable`: why
    the submission is not made for the workload, in its own words, None where it is; such a cell earns what a miss
    does.
    """

    time_s: float | None
    steps: float | None
    examples: float | None
    reached: bool
    value: float | None
    ratio: float | None
    credit: float | None
    studies: int
    studies_reached: int
    spread: float | None
    sustained: bool | None
    failures: tuple[str, ...] = ()
    unsuitable: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One submission on the board.

    `rank`: 1 is best, equal scores share a rank. `score_low`, `score_high`: 95 % interval. `p_ahead_of_next`: the
    probability that its score is above that of the row below, None in the last row. `tie_group`: 1 for the
    submissions that cannot be told from the first, 2 for the next ones. `speedup`: geometric mean of
    reference / submission over the workloads that both reached, None where there is none.
    """

    submission: str
    rank: int
    score: float
    score_low: float
    score_high: float
    p_ahead_of_next: float | None
    tie_group: int
    speedup: float | None
    workloads: Mapping[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Performance profiles: the share of workloads solved within tau times the fastest submission's value.

    `taus`: an even grid on [1, 4]. `curves`: a submission's share at each tau. `corners`: the same curve
    exactly, as (tau, share) pairs where it steps up, in rising order.
    """

    taus: tuple[float, ...]
    curves: Mapping[str, tuple[float, ...]]
    corners: Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard; rows best first.

    `score`: a name in scoring.rules. `by`: "time", "steps" or "examples". `studies`: the most studies that any
    cell has. `trials`: records used. `code`: the versions of Pacer that made them.
    """

    suite: str
    ruleset: str
    hardware: str
    fingerprint: str
    reference: str
    score: str
    by: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    profile: Profile
    studies: int
    trials: int
    code: tuple[str, ...]

    @property
    def workloads(self) -> tuple[str, ...]:
        """The workloads in the board's order."""
        return tuple(self.rows[0].workloads) if self.rows else ()

    def as_json(self) -> dict[str, Any]:
        """The board as plain values that are strict JSON: a number that is not finite becomes None."""
        return {
            "suite": self.suite,
            "ruleset": self.ruleset,
            "hardware": self.hardware,
            "reference": self.reference,
            "score": self.score,
            "by": self.by,
            "rows": [_plain(vars(row)) for row in self.rows],
            "warnings": list(self.warnings),
        }


def build_board(
    records: Sequence[Record],
    *,
    suite: str,
    workloads: Sequence[str] | None = None,
    ruleset: str = "self",
    score: str = "anchored",
    by: str = "time",
    reference: str = "nadamw",
    fingerprint: str | None = None,
    remedy: str = REMEDY,
    seed: int = 0,
    draws: int = 2000,
) -> Board:
    """The leaderboard of the newest records of a suite.

    `workloads`: which, in the board's order; None for those seen. `fingerprint`: the hardware; None for the one
    with the most records. Of a submission only its newest version counts, likewise of a workload. `remedy`: what
    to do about missing trials. `draws` resamples, from `seed`, make the intervals. Raises RecordsError where there
    is nothing to rank, UsageError for a bad setting.
    """
    if score not in RULES:
        raise UsageError(f"score is {score!r}, expected one of {', '.join(RULES)}")
    if by not in times.AXES:
        raise UsageError(f"by is {by!r}, expected one of {', '.join(times.AXES)}")
    chosen = select(
        records, suite=suite, workloads=workloads, ruleset=ruleset, fingerprint=fingerprint, remedy=remedy
    )
    if by == "examples" and not any(r.batch_size for trials in chosen.cells.values() for r in trials):
        raise UsageError(f"the records of {suite} do not say how many examples a step took; rank by time or steps")
    rule = RULES[score]
    found = _scored(chosen, rule, by, reference, seed, draws)
    held_out, results, values, drawn = found.held_out, found.results, found.values, found.drawn
    at, budget = found.at, found.budget
    credits = np.full(values.shape, np.nan)  # [S, W], NaN on what is held out
    credits[:, scores.bases(len(chosen.workloads), held_out)] = found.earned
    points = scores.score(found.earned)

    order = sorted(range(len(points)), key=lambda s: (-points[s], chosen.submissions[s]))
    names = [chosen.submissions[s] for s in order]
    marks = scores.reference_marks(values, reference=at, budget=budget)
    cells = _cells(chosen, results, by, ratios=scores.ratios(values, marks), credits=credits)
    speedups = scores.speedup(values, np.full(len(budget), np.inf) if at is None else values[at])
    low, high = interval(drawn)
    groups = tie_groups(drawn[:, order])
    rows = tuple(
        Row(
            submission=chosen.submissions[s],
            rank=1 + int((points > points[s]).sum()),
            score=float(points[s]),
            score_low=float(low[s]),
            score_high=float(high[s]),
            p_ahead_of_next=p_ahead(drawn[:, s], drawn[:, order[place + 1]]) if place + 1 < len(order) else None,
            tie_group=groups[place],
            speedup=finite(speedups[s]),
            workloads=cells[s],
        )
        for place, s in enumerate(order)
    )
    # The reference's place moves when rows are sorted or dropped; its marks, taken once, do not.
    fixed = rule.credit(reference=None, budget=marks, held_out=held_out)
    unstable = changes_of_winner(
        values[order], names, chosen.workloads, fixed, relative=rule.relative, held_out=held_out
    )
    warnings = (
        *chosen.warnings,
        *caveats.about_reference(chosen, reference, at, values, by, remedy),
        *caveats.about_stopped(chosen, by),
        *caveats.about_guards(chosen),
        *caveats.about_neighbours(chosen, by),
        *caveats.about_counts(chosen, by),
        *caveats.about_leaps(chosen, results, at),
        *unstable,
    )
    return Board(
        suite=suite,
        ruleset=ruleset,
        hardware=chosen.hardware,
        fingerprint=chosen.fingerprint,
        reference=reference,
        score=score,
        by=by,
        rows=rows,
        warnings=warnings,
        profile=_profile(scores.counted(values[order], held_out), names),
        studies=results.time_s.shape[-1],
        trials=chosen.trials,
        code=chosen.code,
    )


@dataclass(frozen=True)
class _Scored:
    """What scores are made of.

    `values`: medians [S, W] on the board's axis. `at`: the reference's place. `budget`: the budgets [W]. `earned`:
    credits [S, B] on the workloads that count. `drawn`: scores of resamples [draws, S].
    """

    held_out: Mapping[int, int]
    results: times.Times
    values: np.ndarray
    at: int | None
    budget: np.ndarray
    earned: np.ndarray
    drawn: np.ndarray


def _scored(chosen: Selection, rule: Rule, by: str, reference: str, seed: int, draws: int) -> _Scored:
    held_out = chosen.held_out if rule.relative else {}
    results = times.collect(chosen.cells, chosen.submissions, chosen.workloads, by, rule.pick)
    values = times.median(results.on(by))
    at = chosen.submissions.index(reference) if reference in chosen.submissions else None
    budget = np.array(
        [times.budget(chosen.cells.get((reference, w)) or chosen.of_workload(w), by) for w in chosen.workloads]
    )
    credit = rule.credit(reference=at, budget=budget, held_out=held_out)
    drawn = draw_scores(results.on(by), chosen.submissions, chosen.workloads, credit, seed=seed, draws=draws)
    return _Scored(held_out, results, values, at, budget, credit(values), drawn)


def p_first_ahead(
    records: Sequence[Record],
    first: str,
    second: str,
    *,
    suite: str,
    workloads: Sequence[str] | None = None,
    ruleset: str = "self",
    score: str = "anchored",
    reference: str = "nadamw",
    fingerprint: str | None = None,
    draws: int = 2000,
) -> float:
    """The probability that the score by time of one submission is above that of another, as on their board.

    Raises RecordsError where one of them has no trials.
    """
    chosen = select(records, suite=suite, workloads=workloads, ruleset=ruleset, fingerprint=fingerprint)
    for name in (first, second):
        if name not in chosen.submissions:
            raise RecordsError(f"no finished trials of {name} in suite {suite} with ruleset {ruleset}; {REMEDY}")
    drawn = _scored(chosen, RULES[score], "time", reference, 0, draws).drawn
    return p_ahead(*(drawn[:, chosen.submissions.index(name)] for name in (first, second)))


def _cells(
    chosen: Selection, results: times.Times, by: str, *, ratios: np.ndarray, credits: np.ndarray
) -> list[dict[str, Cell]]:
    """The cells of each submission, in the order of `chosen`; ratios and credits [S, W]."""
    values = times.median(results.on(by))
    medians = {name: times.median(getattr(results, name)) for name in ("time_s", "steps", "examples")}
    return [
        {
            workload: Cell(
                **{name: finite(median[s, w]) for name, median in medians.items()},
                reached=bool(np.isfinite(values[s, w])),
                value=finite(values[s, w]),
                ratio=finite(ratios[s, w]),
                credit=finite(credits[s, w]),
                **_studies(results.on(by)[s, w], results.sustained[s, w]),
                failures=_failures(chosen.cells.get((submission, workload), ())),
                unsuitable=chosen.reason(submission, workload),
            )
            for w, workload in enumerate(chosen.workloads)
        }
        for s, submission in enumerate(chosen.submissions)
    ]


def _studies(results: np.ndarray, sustained: np.ndarray) -> dict[str, Any]:
    """The fields of a Cell that come from its studies' results on the board's axis [K]."""
    # Plain numbers, as they are few: numpy would take ten times as long.
    there = [result for result in results.tolist() if not math.isnan(result)]
    hits = sorted(result for result in there if math.isfinite(result))
    firm = [flag for flag in sustained.tolist() if not math.isnan(flag)]
    return {
        "studies": len(there),
        "studies_reached": len(hits),
        "spread": (hits[-1] - hits[0]) / statistics.median(hits) if len(hits) > 1 else None,
        "sustained": all(firm) if firm else None,
    }


def _failures(trials: Sequence[Record]) -> tuple[str, ...]:
    """What broke trials, the commonest first: outcome, hook, place and the first line of the message."""
    counts = Counter(_failure(r) for r in trials if r.outcome in (Outcome.ERROR, Outcome.DIVERGED))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(text if n == 1 else f"{n} x {text}" for text, n in ordered)


def _failure(record: Record) -> str:
    failure = record.failure
    if failure is None:
        return record.outcome.value
    place = f" ({PurePath(failure.file).name}:{failure.line})" if failure.file else ""
    message = (failure.message.splitlines() or [""])[0]
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 3] + "..."
    return f"{record.outcome.value} in {failure.hook}{place}: {failure.kind}: {message}".removesuffix(": ")


def _profile(values: np.ndarray, names: Sequence[str]) -> Profile:
    to_fastest = scores.ratios(values, values.min(axis=0))
    taus = np.linspace(1.0, scores.CUT, _PROFILE_POINTS)
    shares = scores.profile(to_fastest, taus)
    return Profile(
        taus=tuple(taus.tolist()),
        curves={name: tuple(share.tolist()) for name, share in zip(names, shares, strict=True)},
        corners={name: scores.profile_corners(r) for name, r in zip(names, to_fastest, strict=True)},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Cell):  # vars, as dataclasses.asdict copies every value
        return _plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

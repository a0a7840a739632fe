"""Makes a leaderboard of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pacer.errors import RecordsError, UsageError
from scoring import board_warnings, scores, times
from scoring.board.cells import cells_of
from scoring.board.values import Board, Profile, Row
from scoring.bootstrap import draw_scores, interval, p_ahead, tie_groups
from scoring.query import BoardQuery
from scoring.records import Record, finite
from scoring.robustness import changes_of_winner
from scoring.rules import RULES
from scoring.scores import Array
from scoring.selection import Selection, select

_PROFILE_POINTS = 301  # steps of 0.01


def build_board(records: Sequence[Record], query: BoardQuery) -> Board:
    """The leaderboard of the newest records of a suite.

    Of a submission only its newest version counts, likewise of a workload. Raises RecordsError where there is
    nothing to rank, UsageError where the records lack what the query ranks by.
    """
    chosen = select(records, query)
    if query.by == "examples" and not any(r.batch_size for trials in chosen.trials.values() for r in trials):
        raise UsageError(
            f"the records of {query.suite} do not say how many examples a step took; rank by time or steps"
        )
    scored = _scored(chosen, query)
    return Board(
        suite=query.suite,
        ruleset=query.ruleset,
        hardware=chosen.hardware,
        fingerprint=chosen.fingerprint,
        reference=query.reference,
        score=query.score,
        by=query.by,
        rows=_rows(chosen, scored, query),
        warnings=_warnings(chosen, scored, query),
        profile=_profile(
            scores.counted(scored.medians[scored.order], scored.held_out),
            [chosen.submissions[s] for s in scored.order],
        ),
        studies=scored.results.time_s.shape[-1],
        trials=chosen.count,
        code=chosen.code,
    )


def p_first_ahead(records: Sequence[Record], first: str, second: str, query: BoardQuery) -> float:
    """The probability that the score of one submission is above that of another, as on their board.

    Raises RecordsError where one of them has no trials.
    """
    chosen = select(records, query)
    for name in (first, second):
        if name not in chosen.submissions:
            raise RecordsError(
                f"no finished trials of {name} in suite {query.suite} with ruleset {query.ruleset}; {query.advice}"
            )
    drawn = _scored(chosen, query).drawn
    return p_ahead(*(drawn[:, chosen.submissions.index(name)] for name in (first, second)))


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """The scores of a selection, submissions [S] in its order, and what they are made of.

    `held_out`: as in scores.counted. `medians`: [S, W] on the board's axis. `reference`: the reference's row, None
    where it has no trials. `marks`: what ratios to the reference divide by, [W]. `credits`: [S, W], NaN on held-out
    workloads. `points`: scores [S]. `drawn`: scores of resamples [draws, S]. `order`: the rows, best first.
    """

    results: times.Times
    held_out: Mapping[int, int]
    medians: Array
    reference: int | None
    marks: Array
    credits: Array
    points: Array
    drawn: Array
    order: list[int]


def _scored(chosen: Selection, query: BoardQuery) -> _Scored:
    rule = RULES[query.score]
    held_out = chosen.held_out if rule.relative else {}
    results = times.collect(chosen.trials, chosen.submissions, chosen.workloads, query.by, rule.pick)
    medians = times.median(results.on(query.by))
    reference = chosen.submissions.index(query.reference) if query.reference in chosen.submissions else None
    budget = np.array(
        [
            times.budget(chosen.trials.get((query.reference, w)) or chosen.of_workload(w), query.by)
            for w in chosen.workloads
        ]
    )
    credit = rule.credit(reference=reference, budget=budget, held_out=held_out)
    earned = credit(medians)
    credits = np.full(medians.shape, np.nan)
    credits[:, scores.bases(len(chosen.workloads), held_out)] = earned
    points = scores.score(earned)
    drawn = draw_scores(
        results.on(query.by), chosen.submissions, chosen.workloads, credit, seed=query.seed, draws=query.draws
    )
    return _Scored(
        results=results,
        held_out=held_out,
        medians=medians,
        reference=reference,
        marks=scores.reference_marks(medians, reference=reference, budget=budget),
        credits=credits,
        points=points,
        drawn=drawn,
        order=sorted(range(len(points)), key=lambda s: (-points[s], chosen.submissions[s])),
    )


def _rows(chosen: Selection, scored: _Scored, query: BoardQuery) -> tuple[Row, ...]:
    """The rows, best first."""
    points, drawn, order, medians = scored.points, scored.drawn, scored.order, scored.medians
    cells = cells_of(
        chosen, scored.results, query.by, ratios=scores.ratios(medians, scored.marks), credits=scored.credits
    )
    own = np.full(len(chosen.workloads), np.inf) if scored.reference is None else medians[scored.reference]
    speedups = scores.speedup(medians, own)
    low, high = interval(drawn)
    groups = tie_groups(drawn[:, order])
    return tuple(
        Row(
            submission=chosen.submissions[s],
            rank=1 + int((points > points[s]).sum()),
            score=float(points[s]),
            score_low=float(low[s]),
            score_high=float(high[s]),
            p_ahead_of_next=p_ahead(drawn[:, s], drawn[:, order[i + 1]]) if i + 1 < len(order) else None,
            tie_group=groups[i],
            speedup=finite(speedups[s]),
            workloads=cells[s],
        )
        for i, s in enumerate(order)
    )


def _warnings(chosen: Selection, scored: _Scored, query: BoardQuery) -> tuple[str, ...]:
    rule = RULES[query.score]
    # The reference's row changes when rows are sorted or dropped; its marks, taken once, do not.
    credit = rule.credit(reference=None, budget=scored.marks, held_out=scored.held_out)
    unstable = changes_of_winner(
        scored.medians[scored.order],
        [chosen.submissions[s] for s in scored.order],
        chosen.workloads,
        credit,
        relative=rule.relative,
        held_out=scored.held_out,
    )
    return (
        *chosen.warnings,
        *board_warnings.about_reference(chosen, query, scored.reference, scored.medians),
        *board_warnings.about_stopped(chosen, query.by),
        *board_warnings.about_guards(chosen),
        *board_warnings.about_contention(chosen, query.by),
        *board_warnings.about_counts(chosen, query.by),
        *board_warnings.about_leaps(chosen, scored.results, scored.reference),
        *unstable,
    )


def _profile(values: np.ndarray, names: Sequence[str]) -> Profile:
    to_fastest = scores.ratios(values, values.min(axis=0))
    taus = np.linspace(1.0, scores.CUT, _PROFILE_POINTS)
    shares = scores.profile(to_fastest, taus)
    return Profile(
        taus=tuple(taus.tolist()),
        curves={name: tuple(share.tolist()) for name, share in zip(names, shares, strict=True)},
        corners={name: scores.profile_corners(r) for name, r in zip(names, to_fastest, strict=True)},
    )

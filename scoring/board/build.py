"""Makes a leaderboard of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np

from pacer.errors import UsageError
from scoring import board_warnings, scores
from scoring.board.cells import cells_of
from scoring.board.scored import Scored, ladder_details, scored
from scoring.board.values import Board, Cell, Profile, Row
from scoring.certainty import tie_groups
from scoring.noise import detectable_speedup
from scoring.query import BoardQuery
from scoring.records import Record, finite
from scoring.robustness import changes_of_winner, without_each
from scoring.rules import RULES
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
    made = scored(chosen, query)
    return Board(
        suite=query.suite,
        ruleset=query.ruleset,
        hardware=chosen.hardware,
        fingerprint=chosen.fingerprint,
        reference=query.reference,
        score=made.score,
        by=query.by,
        interpolated=query.interpolated,
        rows=_rows(chosen, made, query),
        warnings=_warnings(chosen, made, query),
        profile=_profile(
            scores.counted(made.medians[made.order], made.held_out),
            [chosen.submissions[s] for s in made.order],
        ),
        studies=made.results.time_s.shape[-1],
        trials=chosen.count,
        code=chosen.code,
        detectable=made.climbed and detectable_speedup(made.climbed, query.by, made.results.time_s.shape[-1]),
    )


def _rows(chosen: Selection, made: Scored, query: BoardQuery) -> tuple[Row, ...]:
    """The rows, best first."""
    points, order, medians, certainty = made.points, made.order, made.medians, made.certainty
    cells = cells_of(
        chosen, made.results, query.by, ratios=scores.ratios(medians, made.marks), credits=made.credits
    )
    own = np.full(len(chosen.workloads), np.inf) if made.reference is None else medians[made.reference]
    speedups = points if made.climbed else scores.speedup(medians, own)
    low, high = certainty.intervals()
    groups = tie_groups(certainty, order)
    details = ladder_details(made.climbed, query.by) if made.climbed else [None] * len(points)
    return tuple(
        Row(
            submission=chosen.submissions[s],
            rank=1 + int((points > points[s]).sum()),
            score=float(points[s]),
            score_low=finite(low[s]),
            score_high=finite(high[s]),
            p_ahead_of_next=certainty.p_ahead(s, order[i + 1]) if i + 1 < len(order) else None,
            tie_group=groups[i],
            speedup=finite(speedups[s]),
            **_over_workloads(cells[s].values()),
            ladder=details[s],
            workloads=cells[s],
        )
        for i, s in enumerate(order)
    )


class _Studies(TypedDict):
    studies: int
    studies_reached: int | None


def _over_workloads(cells: Iterable[Cell]) -> _Studies:
    """The studies of a row, on those workloads that have a target if there are any."""
    own = list(cells)
    aimed = [(cell.studies_reached, cell.studies) for cell in own if cell.studies_reached is not None]
    if not aimed:
        return {"studies": sum(cell.studies for cell in own), "studies_reached": None}
    return {"studies": sum(n for _, n in aimed), "studies_reached": sum(reached for reached, _ in aimed)}


def _warnings(chosen: Selection, made: Scored, query: BoardQuery) -> tuple[str, ...]:
    return (
        *chosen.warnings,
        *(
            board_warnings.about_ladder(chosen, made.climbed)
            if made.climbed
            else board_warnings.about_reference(chosen, query, made.reference, made.medians)
        ),
        *board_warnings.about_stopped(chosen, query.by),
        *board_warnings.about_guards(chosen),
        *board_warnings.about_contention(chosen, query.by),
        *board_warnings.about_counts(chosen, query.by),
        *board_warnings.about_leaps(chosen, made.results, made.reference),
        *_unstable(chosen, made),
    )


def _unstable(chosen: Selection, made: Scored) -> list[str]:
    names = [chosen.submissions[s] for s in made.order]
    if made.climbed:
        return without_each(np.log(made.credits[made.order]), names, chosen.workloads)
    rule = RULES[made.score]
    # The reference's row changes when rows are sorted or dropped; its marks, taken once, do not.
    credit = rule.credit(reference=None, budget=made.marks, held_out=made.held_out)
    return changes_of_winner(
        made.medians[made.order],
        names,
        chosen.workloads,
        credit,
        relative=rule.relative,
        held_out=made.held_out,
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

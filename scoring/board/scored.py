"""The scores of a selection of records, by the rule that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scoring import ladder, scores, times
from scoring.board.values import LadderDetails
from scoring.bootstrap import draw_scores
from scoring.certainty import Certainty, Paired, Resampled
from scoring.ladder import Ladder
from scoring.names import LADDER, Axis, Score
from scoring.paired import Differences
from scoring.query import BoardQuery
from scoring.records import finite
from scoring.rules import RULES
from scoring.scores import Array
from scoring.selection import Selection


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores of a selection, submissions [S] in its order, and what they are made of.

    `score`: its name. `held_out`: as in scores.counted. `medians`: [S, W] on the board's axis. `reference`: the
    reference's row, None where it has no trials. `marks`: what ratios to the reference divide by, [W]. `credits`:
    [S, W], of the ladder score speed-ups; NaN on held-out workloads and those without a ladder. `points`: scores
    [S]. `order`: the rows, best first. `climbed`: what the ladder score is made of, None for the others.
    """

    score: Score
    results: times.Times
    held_out: Mapping[int, int]
    medians: Array
    reference: int | None
    marks: Array
    credits: Array
    points: Array
    certainty: Certainty
    order: list[int]
    climbed: Ladder | None = None


def scored(chosen: Selection, query: BoardQuery) -> Scored:
    """The scores. Raises RecordsError for the ladder score without trials of the reference."""
    name = score_of(chosen, query)
    rule = RULES[name]
    held_out = chosen.held_out if rule.relative else {}
    results = times.collect(
        chosen.trials, chosen.submissions, chosen.workloads, query.by, rule.pick, query.interpolated
    )
    medians = times.median(results.on(query.by))
    reference = chosen.submissions.index(query.reference) if query.reference in chosen.submissions else None
    budget = np.array(
        [
            times.budget(chosen.trials.get((query.reference, w)) or chosen.of_workload(w), query.by)
            for w in chosen.workloads
        ]
    )
    marks = scores.reference_marks(medians, reference=reference, budget=budget)
    climbed = None
    if rule.of_curves:
        climbed = ladder.climb(chosen, query.reference)
        certainty = Paired(climbed.on[query.by], climbed.reference)
        points = np.exp(certainty.over_reference.value).round(12)
        credits = np.exp(certainty.over_reference.on_workloads)
    else:
        credit = rule.credit(reference=reference, budget=budget, held_out=held_out)
        earned = credit(medians)
        points = scores.score(earned)
        credits = np.full(medians.shape, np.nan)
        credits[:, scores.bases(len(chosen.workloads), held_out)] = earned
        results_on = results.on(query.by)
        certainty = Resampled(draw_scores(results_on, chosen.workloads, credit, seed=query.seed, draws=query.draws))
    order = sorted(range(len(points)), key=lambda s: (-points[s], chosen.submissions[s]))
    return Scored(
        score=name,
        results=results,
        held_out=held_out,
        medians=medians,
        reference=reference,
        marks=marks,
        credits=credits,
        points=points,
        certainty=certainty,
        order=order,
        climbed=climbed,
    )


def score_of(chosen: Selection, query: BoardQuery) -> Score:
    """The name of the score that the query asks for."""
    return query.score or (LADDER if query.reference in chosen.submissions else "anchored")


def ladder_details(climbed: Ladder, by: Axis) -> list[LadderDetails]:
    """What the speed-ups of each submission [S] are made of."""

    def over(logs: Array) -> Differences:
        return Differences.of(logs - logs[climbed.reference])

    low, high = over(climbed.on[by]).interval_over_workloads()
    columns = np.exp([over(climbed.on["steps"]).value, over(climbed.step_time).value, low, high])
    names = ("in_steps", "step_time", "general_low", "general_high")
    return [LadderDetails(**dict(zip(names, map(finite, column), strict=True))) for column in columns.T]

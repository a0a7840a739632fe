"""The ladder score against examples worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pacer.errors import RecordsError
from scoring.board import BoardQuery, build_board
from scoring.ladder import Ladder, climb
from scoring.ladder.curves import Curves
from scoring.ladder.levels import levels_of
from scoring.records import Curve, Outcome, Record, compact
from scoring.selection import select
from tests.scoring.build import record

STEPS = range(100, 1600, 100)


def run(
    name: str, value: Callable[[int], float | None], *, step_s: float = 0.1, last: int = 1500, **other
) -> Record:
    """A trial on the target 0.8 whose value is a function of the step, an evaluation every 100 steps."""
    points = []
    for step in STEPS:
        points.append((step, step * step_s, value(step)))
        if step >= last or (points[-1][2] or 0.0) >= 0.8:
            break
    return record(name, points=points, budget=150.0, **({"target": 0.8} | other))


def reference(**other) -> Record:
    """It reaches the target at step 800, after 80 s: its levels are 0.4, 0.48, 0.56, 0.64, 0.72 and 0.8."""
    return run("nadamw", lambda step: step / 1000, outcome="reached", **other)


def climbed(*records: Record, **other) -> Ladder:
    return climb(select([reference(), *records], BoardQuery(suite="mini", **other)), "nadamw")


def speedup(other: Record, axis: str = "time") -> float:
    """The ladder speed-up of the trial of `mine` over the reference."""
    return float(np.exp(climbed(other).on[axis][0, 0, 0]))


def test_the_levels_are_on_the_last_half_of_the_references_way() -> None:
    levels = climbed(run("mine", lambda step: step / 1000)).levels["digits"]
    assert levels == pytest.approx((0.4, 0.48, 0.56, 0.64, 0.72, 0.8))


def test_the_reference_itself_and_its_copy_are_level() -> None:
    made = climbed(run("mine", lambda step: step / 1000, outcome="reached"))
    for axis in ("time", "steps", "examples"):
        np.testing.assert_allclose(made.on[axis], 0.0, atol=1e-12)
    np.testing.assert_allclose(made.step_time, 0.0, atol=1e-12)


def test_half_the_steps_and_half_the_time_a_step_are_twice_each() -> None:
    fewer = run("mine", lambda step: step / 500, outcome="reached")
    # Its levels lie between evaluations: 0.48 between 0.4 at 200 steps and 0.6 at 300, so at 240.
    assert (speedup(fewer), speedup(fewer, "steps")) == (pytest.approx(2), pytest.approx(2))
    quicker = run("mine", lambda step: step / 1000, step_s=0.05, outcome="reached")
    assert (speedup(quicker), speedup(quicker, "steps")) == (pytest.approx(2), pytest.approx(1))
    assert np.exp(climbed(quicker).step_time[0, 0, 0]) == pytest.approx(2)


def test_a_speed_up_at_a_level_is_cut_at_four() -> None:
    assert speedup(run("mine", lambda step: step / 100, outcome="reached")) == pytest.approx(4)
    assert speedup(run("mine", lambda step: step / 10_000)) == pytest.approx(1 / 4)


def test_a_miss_is_charged_all_that_it_took() -> None:
    stuck = run("mine", lambda step: min(step / 1000, 0.6), outcome="budget")
    # Level at 0.4, 0.48 and 0.56. At the others the reference's 60 s to 0.6 over the 150 s of the trial.
    assert speedup(stuck) == pytest.approx((60 / 150) ** (3 / 6))


def test_a_miss_is_never_ahead_of_the_reference_at_a_level_that_it_did_not_reach() -> None:
    quick = run("mine", lambda step: min(step / 500, 0.6), last=400, outcome="unpromising")
    # Twice as fast at three levels; at the other three, 60 s over 40 s counts as 1.
    assert speedup(quick) == pytest.approx(2 ** (3 / 6))


@pytest.mark.parametrize("outcome", ["diverged", "complete"])
def test_who_breaks_off_is_charged_what_the_reference_takes_to_each_level(outcome: str) -> None:
    ended = run("mine", lambda step: step / 1000, last=500, outcome=outcome)
    short = [50 / 56, 50 / 64, 50 / 72, 50 / 80]
    assert speedup(ended) == pytest.approx(np.prod(short) ** (1 / 6))
    at_once = run("mine", lambda step: step / 1000, last=100, outcome=outcome)
    assert speedup(at_once) == pytest.approx(1 / 4, abs=0.01)


def test_a_trial_that_was_not_evaluated_until_its_budget_was_spent_is_charged_the_same() -> None:
    hung = run("mine", lambda step: step / 1000, last=100, outcome="budget")
    assert speedup(hung) == pytest.approx(1 / 4, abs=0.01)
    imported = replace(run("mine", lambda step: step / 1000, last=100, outcome="budget"), budget_s=0.0)
    assert speedup(imported) == pytest.approx(1 / 4, abs=0.01)


@pytest.mark.parametrize("outcome", ["error", "unsuitable"])
def test_what_counts_as_nothing_is_a_quarter(outcome: str) -> None:
    assert speedup(run("mine", lambda step: step / 1000, outcome=outcome)) == pytest.approx(1 / 4)


def test_no_finite_value_is_a_quarter() -> None:
    assert speedup(run("mine", lambda step: None, last=100, outcome="diverged")) == pytest.approx(1 / 4)
    assert speedup(record("mine", points=[], target=0.8, outcome="budget")) == pytest.approx(1 / 4)


def test_a_workload_that_was_not_run_is_a_quarter() -> None:
    elsewhere = [reference(workload="other"), run("mine", lambda step: step / 1000, workload="other")]
    made = climbed(*elsewhere)
    np.testing.assert_allclose(np.exp(made.on["time"][0, :, 0]), [1 / 4, 1])


def test_a_study_that_was_not_started_as_it_could_change_no_median_is_no_study() -> None:
    ran = run("mine", lambda step: step / 500, outcome="reached")
    skipped = record("mine", points=[], target=0.8, outcome="settled", study=1)
    made = climbed(ran, reference(study=1), skipped)
    assert np.exp(made.on["time"][0, 0]).tolist() == pytest.approx([2, np.nan], nan_ok=True)


def test_lower_may_be_better() -> None:
    turned = [
        replace(
            each,
            higher_is_better=False,
            target=-0.8,
            evaluations=tuple(replace(e, value=-(e.value or 0.0)) for e in each.evaluations),
        )
        for each in (reference(), run("mine", lambda step: step / 500, outcome="reached"))
    ]
    made = climb(select(turned, BoardQuery(suite="mini")), "nadamw")
    assert made.levels["digits"] == pytest.approx((-0.4, -0.48, -0.56, -0.64, -0.72, -0.8))
    assert np.exp(made.on["time"][0, 0, 0]) == pytest.approx(2)


def test_levels_are_medians_and_crossings_geometric_means_over_the_references_studies() -> None:
    slow = run("nadamw", lambda step: step / 2000, last=1600, outcome="budget", study=1, target=0.5)
    fast = run("nadamw", lambda step: step / 500, last=300, outcome="reached", study=0, target=0.5)
    mine = run("mine", lambda step: step / 1000, last=600, outcome="reached", target=0.5)
    made = climb(select([slow, fast, mine], BoardQuery(suite="mini")), "nadamw")
    # Both come to the target, at 250 and at 1,000 steps, so that their levels are the same; 500 steps are between.
    assert made.levels["digits"] == pytest.approx(0.5 * np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
    np.testing.assert_allclose(made.on["steps"][0, 0, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(np.exp(made.on["steps"][1, 0]), [2, 1 / 2])


def test_without_a_target_the_way_ends_at_the_plateau() -> None:
    curve = Curve.of(
        run("nadamw", lambda step: min(step / 1000, 0.5), target=None).evaluations, higher_is_better=True
    )
    levels = levels_of(Curves.of([curve], higher_is_better=True), None)
    # 2 % of what it gains from step 150 on, 0.15, to 0.5 are left at 0.493.
    assert levels[-1] == pytest.approx(0.493)
    assert levels[0] == pytest.approx(0.2465)


def test_of_old_archives_one_level_is_known() -> None:
    kept = [replace(compact(reference()), curve=None, skipped=6), run("mine", lambda s: s / 500, outcome="reached")]
    made = climb(select(kept, BoardQuery(suite="mini")), "nadamw")
    assert made.levels["digits"] == (0.8,)
    assert np.exp(made.on["time"][0, 0, 0]) == pytest.approx(2)
    board = build_board(kept, BoardQuery(suite="mini", score="ladder"))
    assert any("keep the ends of curves only" in warning for warning in board.warnings)


def test_an_archive_has_the_same_ladder() -> None:
    records = [reference(), run("mine", lambda step: min(step / 700, 0.7), outcome="budget")]
    query = BoardQuery(suite="mini")
    whole, short = (climb(select(kept, query), "nadamw") for kept in (records, [compact(r) for r in records]))
    for axis in ("time", "steps", "examples"):
        np.testing.assert_allclose(short.on[axis], whole.on[axis], atol=1e-4)


def test_of_an_external_study_the_first_to_reach_the_target_counts_else_the_best() -> None:
    def tuned(trial: int, best: float, slope: int, outcome: str) -> Record:
        return run("mine", lambda s: min(s / slope, best), trial=trial, outcome=outcome, ruleset="external")

    base = reference(ruleset="external")
    trials = [tuned(0, 0.9, 1000, "reached"), tuned(1, 0.9, 500, "reached"), tuned(2, 0.7, 250, "budget")]
    query = BoardQuery(suite="mini", ruleset="external")
    assert np.exp(climb(select([base, *trials], query), "nadamw").on["time"][0, 0, 0]) == pytest.approx(2)
    missed = [tuned(0, 0.5, 1000, "budget"), tuned(1, 0.6, 1000, "budget")]
    found = np.exp(climb(select([base, *missed], query), "nadamw").on["time"][0, 0, 0])
    assert found == pytest.approx((60 / 150) ** (3 / 6))


def test_without_the_reference_others_are_named() -> None:
    with pytest.raises(RecordsError, match=r"relative to nadamw.*REFERENCE=.*one of: mine"):
        climb(select([run("mine", lambda s: s / 500)], BoardQuery(suite="mini")), "nadamw")


def test_a_reference_without_a_curve_gives_no_ladder_and_that_is_said() -> None:
    records = [
        reference(),
        run("mine", lambda step: step / 500, outcome="reached"),
        run("nadamw", lambda step: None, last=100, outcome="diverged", workload="other"),
        run("mine", lambda step: step / 500, outcome="reached", workload="other"),
    ]
    board = build_board(records, BoardQuery(suite="mini", score="ladder"))
    assert board.rows[0].submission == "mine"
    assert board.rows[0].score == pytest.approx(2)
    assert board.rows[0].workloads["other"].credit is None or np.isnan(board.rows[0].workloads["other"].credit)
    assert any("no ladder" in warning and "other" in warning for warning in board.warnings)


def test_a_board_says_the_factors_and_how_many_reached() -> None:
    records = [
        each
        for study in range(3)
        for each in (
            reference(study=study),
            run("mine", lambda step: step / 500, step_s=0.2, outcome="reached", study=study),
            run("lost", lambda step: min(step / 1000, 0.6), outcome="budget", study=study),
        )
    ]
    board = build_board(records, BoardQuery(suite="mini"))
    assert (board.score, board.reference) == ("ladder", "nadamw")
    mine = next(row for row in board.rows if row.submission == "mine")
    assert (mine.score, mine.speedup) == (pytest.approx(1), pytest.approx(1))
    assert (mine.ladder.in_steps, mine.ladder.step_time) == (pytest.approx(2), pytest.approx(0.5))
    assert (mine.studies_reached, mine.studies) == (3, 3)
    lost = next(row for row in board.rows if row.submission == "lost")
    assert (lost.studies_reached, lost.studies) == (0, 3)
    assert (lost.score_low, lost.score_high) == (pytest.approx(lost.score), pytest.approx(lost.score))
    assert lost.ladder.general_low is None
    assert lost.workloads["digits"].credit == pytest.approx(0.4**0.5)
    assert Outcome.BUDGET.value == "budget"

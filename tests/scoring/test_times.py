"""From records to study results and medians."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scoring import times
from scoring.board import BoardQuery, build_board
from scoring.records import Outcome, compact, from_json, to_json
from scoring.records.compact import brief
from scoring.tables import as_text
from tests.scoring.build import record


def test_a_study_is_its_fastest_trial_on_the_axis():
    # By time the first decides, by steps the second: 9 s and 300 steps, 12 s and 120 steps.
    trials = [record(time=9.0, steps=300), record(time=12.0, steps=120, trial=1), record(time=None, trial=2)]
    assert times.study_result(trials, "time")[:3] == (9.0, 300, 9600)
    assert times.study_result(trials, "steps")[:3] == (12.0, 120, 3840)
    assert times.study_result(trials, "examples")[:3] == (12.0, 120, 3840)


@pytest.mark.parametrize("outcome", [Outcome.BUDGET, Outcome.DIVERGED, Outcome.COMPLETE, Outcome.OUTRUN])
def test_no_crossing_is_a_miss_and_a_missing_value_is_no_crossing(outcome):
    trial = record(time=5.0, outcome=outcome, values=[0.3, None, 0.8])
    assert times.study_result([trial], "time")[:3] == (math.inf, math.inf, math.inf)


def test_missing_value_never_reaches_a_target_that_is_low():
    loss = {"higher_is_better": False, "target": 0.5}
    assert times.study_result([record(time=5.0, values=[None, None], **loss)], "time")[0] == math.inf
    assert times.study_result([record(time=5.0, values=[None, 0.4], **loss)], "time")[0] == 10.0


def test_a_time_that_is_no_number_never_counts():
    trial = record()
    broken = replace(trial, evaluations=(replace(trial.evaluations[1], time_s=math.nan),))
    assert times.study_result([broken], "time")[0] == math.inf


def test_an_error_never_counts_even_after_a_crossing():
    assert times.study_result([record(time=5.0, outcome=Outcome.ERROR)], "time")[0] == math.inf
    assert times.study_result([record(time=5.0, outcome=Outcome.DIVERGED)], "time")[0] == 5.0


@pytest.mark.parametrize(
    ("later", "expected"), [((), None), ((0.91, 0.1), True), ((0.89, 0.99), False), ((None,), False)]
)
def test_sustained_looks_at_the_next_evaluation(later, expected):
    trial = record(later=later)
    assert times.sustained(trial, trial.crossing) is expected


def test_a_target_met_before_the_first_step_has_a_positive_time():
    trial = record(time=1.0, values=[0.95], steps=0)
    assert times.study_result([trial], "steps")[1] > 0


def test_the_published_rule_picks_the_fewest_evaluations():
    # The first trial reaches the target at its third evaluation, after 9 s, the second at its second, after 12 s.
    trials = [record(values=[0.1, 0.2, 0.95], time=3.0), record(values=[0.1, 0.95, 0.2], time=6.0, trial=1)]
    assert times.study_result(trials, "time", times.fastest)[0] == 9.0
    assert times.study_result(trials, "time", times.fewest_evaluations)[0] == 12.0
    slower = record(values=[0.1, 0.95], time=7.0, trial=2)
    assert times.study_result([slower, *trials], "time", times.fewest_evaluations)[0] == 12.0, (
        "the faster of equals"
    )


def test_an_archive_keeps_what_the_published_rule_counts():
    trials = [record(values=[0.1, 0.2, 0.95, 0.96], time=3.0), record(values=[0.1, 0.95], time=6.0, trial=1)]
    for _ in range(2):
        trials = [from_json(to_json(compact(trial))) for trial in trials]
        assert [len(trial.evaluations) for trial in trials] == [2, 1]
        assert times.study_result(trials, "time", times.fewest_evaluations)[0] == 12.0


def test_a_budget_that_is_not_known_is_what_was_used():
    trials = [record(time=None, budget=0.0, trial=t, ledger=(("training", s),)) for t, s in enumerate((7.0, 9.0))]
    assert times.budget(trials, "time") == 8.0


def test_seeds_make_studies_of_their_own():
    trials = [record(study=k, seed=seed, trial=t) for t in (1, 0) for seed in (0, 7) for k in (0, 1)]
    assert [[(r.seed, r.study, r.trial) for r in study] for study in times.studies(trials)] == [
        [(0, 0, 0), (0, 0, 1)],
        [(0, 1, 0), (0, 1, 1)],
        [(7, 0, 0), (7, 0, 1)],
        [(7, 1, 0), (7, 1, 1)],
    ]


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([3, 1, 2], 2),
        ([4, 1, 2, 3], 2.5),
        ([1, 2, math.inf], 2),
        ([1, math.inf, math.inf], math.inf),
        ([1, math.inf], math.inf),
        ([5, math.nan, math.nan], 5),
        ([1, math.inf, math.nan], math.inf),
        ([2, 1, math.nan], 1.5),
        ([math.nan] * 3, math.inf),
    ],
)
def test_median(studies, expected):
    assert times.median(np.array(studies, float)) == expected


def test_collect_has_a_place_for_each_study():
    cells = {("a", "x"): [record(time=3.0), record(time=None, study=1)], ("b", "y"): [record(time=7.0)]}
    found = times.collect(cells, ["a", "b"], ["x", "y"], "time").on("time")
    nan = math.nan
    np.testing.assert_array_equal(found, [[[3, math.inf], [nan, nan]], [[nan, nan], [7, nan]]])


@pytest.mark.parametrize(("ruleset", "steps"), [("self", 1500.0), ("external", 1000.0)])
def test_the_budget_on_each_axis_is_that_of_the_ruleset(ruleset, steps):
    # A step hint of 800: 1.25 x 1.5 times that under the self ruleset, 1.25 times that under the external one.
    trials = [record(ruleset=ruleset, budget=100.0, step_hint=800, batch_size=size) for size in (16, 32, 64)]
    assert [times.budget(trials, by) for by in ("time", "steps", "examples")] == [100.0, steps, 32 * steps]
    assert times.budget([], "time") == math.inf
    assert times.budget([], "steps") == math.inf


def test_a_result_is_never_zero_on_any_axis():
    first = replace(record().evaluations[1], step=0, examples=0, time_s=0.0)
    assert times.study_result([replace(record(), evaluations=(first,))], "time")[:3] == (1e-9, 1e-9, 1e-9)
    unused = record(time=None, budget=0.0, ledger=())
    assert times.budget([unused], "time") == 1e-9


def test_a_miss_has_no_evaluation_after_its_crossing():
    assert math.isnan(times.study_result([record(time=None)], "time")[3])
    assert math.isnan(times.study_result([record()], "time")[3])
    assert times.study_result([record(later=(0.95,))], "time")[3] == 1.0
    assert times.study_result([record(later=(0.1,))], "time")[3] == 0.0


def test_without_trials_there_is_one_study_that_is_none():
    results = times.collect({}, ["a", "b"], ["x"], "time")
    for axis in times.AXES:
        assert results.on(axis).shape == (2, 1, 1)
        assert np.isnan(results.on(axis)).all()


def test_each_axis_has_its_own_results():
    results = times.collect({("a", "x"): [record(time=3.0, steps=60)]}, ["a"], ["x"], "time")
    assert [results.on(by).item() for by in ("time", "steps", "examples")] == [3.0, 60.0, 1920.0]


def test_the_median_budget_counts_what_was_used_where_it_is_not_known():
    used = record(time=None, budget=0.0, ledger=(("setup", 1.0), ("training", 6.0), ("evaluation", 50.0)))
    assert times.budget([used, record(budget=20.0), record(budget=30.0)], "time") == 20.0
    assert times.budget([used], "time") == 7.0


def test_a_target_may_be_reached_between_two_evaluations():
    """From 0.5 at 20 s to 0.95 at 30 s: 0.9 is eight ninths of the way, and 0.3 in between is no step back."""
    trial = record("adam", time=10.0, values=(0.2, 0.5, 0.95, 0.96))
    share = (0.9 - 0.5) / (0.95 - 0.5)
    expected = (20 + 10 * share, 200 + 100 * share, 32 * (200 + 100 * share))
    assert times.study_result([trial], "time", interpolated=True)[:3] == pytest.approx(expected)
    assert times.study_result([trial], "time")[0] == 30.0
    dipped = record("adam", time=10.0, values=(0.5, 0.3, 0.95))
    assert times.study_result([dipped], "time", interpolated=True)[0] == pytest.approx(20 + 10 * share)
    kept = brief(trial)
    assert len(kept.evaluations) == 2
    assert times.study_result([kept], "time", interpolated=True)[:3] == pytest.approx(expected)


def test_where_nothing_comes_before_the_evaluation_counts():
    assert times.study_result([record(time=5.0, values=(0.95,))], "time", interpolated=True)[0] == 5.0
    assert times.study_result([record(time=5.0, values=(None, 0.95))], "time", interpolated=True)[0] == 10.0
    lower = record(time=5.0, values=(0.7, 0.1), target=0.4, higher_is_better=False)
    assert times.study_result([lower], "time", interpolated=True)[0] == pytest.approx(7.5)


def test_boards_of_times_interpolate_where_they_are_asked_to():
    trials = [
        record("nadamw", "a", time=10.0, values=(0.5, 0.95)),
        record("adam", "a", time=10.0, values=(0.8, 1.0)),
    ]
    plain = build_board(trials, BoardQuery(suite="mini", score="anchored"))
    lines = build_board(trials, BoardQuery(suite="mini", score="anchored", interpolated=True))
    assert [row.score for row in plain.rows] == [0.5, 0.5]
    ratio = (10 + 10 * 0.5) / (10 + 10 * 0.4 / 0.45)
    assert lines.rows[0].submission == "adam"
    assert lines.rows[0].score == pytest.approx(math.log(4 / ratio) / math.log(16))
    assert "anchored score by time to target, interpolated, reference" in as_text(lines)
    assert "interpolated" not in as_text(plain)
    assert (plain.as_json()["interpolated"], lines.as_json()["interpolated"]) == (False, True)

"""Each policy's rule, from a few finished trials; that the exact ones are exact is tested in test_replay.py."""

from __future__ import annotations

import math
import pickle
from collections import defaultdict
from dataclasses import replace

import pytest

from scoring.records import Evaluation, Outcome
from scoring.stopping import (
    AllOf,
    BaseMissed,
    Cut,
    FirstOf,
    Forecast,
    GiveUp,
    Median,
    Missed,
    OwnStudy,
    Slow,
    TrialContext,
    Until,
    exact_policies,
    finished_trial,
    forecast_policies,
)
from tests.scoring.build import record, table

INF = math.inf


def context(
    submission="sgd", workload="digits", *, study=9, studies=3, trials=1, higher=True, **other
) -> TrialContext:
    return TrialContext(
        submission=submission,
        workload=workload,
        seed=0,
        study=study,
        studies=studies,
        trials=trials,
        higher_is_better=higher,
        budget_s=100.0,
        **other,
    )


def finished(records):
    trials = defaultdict(list)
    for r in records:
        trials[r.submission, r.workload].append(finished_trial(r))
    return trials


def done(*times, submission="sgd", workload="digits"):
    """One trial a study, at these times; None for a miss."""
    return table({submission: {workload: list(times)}})


def seen(*values, period=1.0):
    return [
        Evaluation(step=i, examples=i, time_s=period * (i + 1), value=value, train_loss=None)
        for i, value in enumerate(values)
    ]


def test_a_rule_by_time():
    rule = Until(10.0, Outcome.CUT)
    assert rule.stop_reason(9.9, ()) is None
    assert rule.stop_reason(10.0, ()) is Outcome.CUT
    assert Until().stop_reason(1e9, ()) is None


def test_the_first_rule_decides():
    rule = FirstOf((Until(20.0, Outcome.OUTRUN), Until(10.0, Outcome.CUT)))
    assert rule.until_s == 10.0
    assert rule.stop_reason(15.0, ()) is Outcome.CUT
    assert rule.stop_reason(25.0, ()) is Outcome.OUTRUN
    assert FirstOf().until_s == INF
    assert FirstOf().stop_reason(1e9, ()) is None


def test_own_study():
    known = finished([record("sgd", time=30.0, study=1), record("sgd", time=20.0, study=1, trial=1), *done(5.0)])
    assert OwnStudy().rule(context(study=1, trials=3), known).until_s == 20.0
    assert OwnStudy().rule(context(study=2, trials=3), known).until_s == INF


@pytest.mark.parametrize(("seed", "study", "until_s"), [(0, 1, 20.0), (7, 1, 5.0), (7, 2, INF), (3, 1, INF)])
def test_studies_of_other_seeds_are_other_studies(seed, study, until_s):
    known = finished([record("sgd", time=20.0, study=1), record("sgd", time=5.0, study=1, seed=7)])
    trial = replace(context(study=study, trials=3), seed=seed)
    assert OwnStudy().rule(trial, known).until_s == until_s


def test_the_median_counts_studies_of_other_seeds():
    # Three are planned. That of seed 0 is its own; those of seeds 7 and 8 have the same number.
    known = finished([record("sgd", time=t, study=9, seed=seed) for seed, t in ((0, 50.0), (7, 10.0), (8, 30.0))])
    assert Median().rule(context(), known).until_s == 30.0
    missed = finished([record("sgd", time=None, study=9, seed=seed) for seed in (7, 8)])
    assert Missed().rule(context(), missed).until_s == 0.0
    one = finished([record("sgd", time=None, study=9, seed=seed) for seed in (0, 7)])
    assert Missed().rule(context(), one).until_s == INF


def test_a_result_under_a_broken_rule_outruns_nobody():
    known = finished([record("sgd", time=3.0, study=1, outcome="error")])
    assert OwnStudy().rule(context(study=1, trials=3), known).until_s == INF


@pytest.mark.parametrize(
    ("studies", "known", "until_s"),
    [
        (1, [], INF),  # nothing else decides
        (3, [10.0], INF),
        (3, [10.0, 30.0], 30.0),  # beyond 30 it is the third
        (3, [10.0, None], INF),
        (3, [None, None], 0.0),  # the median is a miss whatever comes
        (3, [None], INF),
        (5, [10.0, 20.0], INF),  # the two to come may be misses
        (5, [10.0, 30.0, 20.0], 30.0),
        (5, [10.0, 30.0, 20.0, 15.0], 20.0),
        (5, [10.0, 20.0, None], INF),
        (5, [None, 10.0, None, None], 0.0),
        (2, [10.0], INF),  # the mean of both
        (2, [None], 0.0),
        (4, [10.0, 20.0, 30.0], 30.0),  # at 25 it would be in the middle two
        (4, [10.0, 20.0], INF),
        (4, [10.0, None, None], 0.0),  # one of the middle two is a miss for certain
    ],
)
def test_median(studies, known, until_s):
    rule = Median().rule(context(studies=studies), finished(done(*known)))
    assert rule.until_s == until_s
    assert rule.stop_reason(until_s, ()) is Outcome.SETTLED
    sure = Missed().rule(context(studies=studies), finished(done(*known)))
    assert sure.until_s == (0.0 if until_s == 0.0 else INF)


def test_a_study_that_is_not_over_is_no_miss_yet_but_its_result_can_only_fall():
    missed = [record("sgd", time=None, study=k) for k in (0, 1)]
    assert Median().rule(context(studies=3, trials=2), finished(missed)).until_s == INF
    hit = [record("sgd", time=10.0, study=0), record("sgd", time=30.0, study=1)]
    assert Median().rule(context(studies=3, trials=2), finished(hit)).until_s == 30.0


def test_base_missed():
    ahead = context(workload="digits-v", variant_of="digits")
    assert BaseMissed().rule(ahead, finished(done(None, None))).until_s == 0.0
    assert BaseMissed().rule(ahead, finished(done(None, 10.0))).until_s == INF
    assert BaseMissed().rule(context(), finished(done(None, None))).until_s == INF


@pytest.mark.parametrize(
    ("studies", "known", "until_s"),
    [
        (3, [10.0], INF),
        (3, [10.0, 12.0], 48.0),
        (3, [10.0, 12.0, 11.0], 44.0),
        (3, [None, None, 1.0], INF),
        (2, [10.0], INF),
        (2, [10.0, 20.0], 8 * 15.0),
    ],
)
def test_cut(studies, known, until_s):
    known = finished(done(*known, submission="nadamw"))
    for reference in (None, "nadamw"):
        rule = Cut(reference).rule(context(studies=studies), known)
        assert rule.until_s == math.nextafter(until_s, INF)
        assert rule.stop_reason(until_s, ()) is (None if until_s < INF else Outcome.CUT)  # 4 x itself is not above
    assert Cut("adam").rule(context(studies=studies), known).until_s == INF


def test_the_cut_spares_the_reference_and_workloads_that_variants_hang_on():
    known = finished([*done(1.0, 1.0, submission="fast"), *done(10.0, 10.0, submission="nadamw")])
    assert Cut("nadamw").rule(context("nadamw"), known).until_s == INF
    assert Cut().rule(context("nadamw"), known).until_s == pytest.approx(4.0)
    assert Cut().rule(context(has_variants=True), known).until_s == INF


def test_a_variant_sets_no_mark_while_its_base_is_not_known_to_be_reached():
    variant = [*done(1.0, 1.0, submission="fast", workload="digits-v")]
    ahead = context(workload="digits-v", variant_of="digits")
    assert Cut().rule(ahead, finished(variant)).until_s == INF
    assert Cut().rule(ahead, finished([*variant, *done(9.0, None, submission="fast")])).until_s == INF
    assert Cut().rule(ahead, finished([*variant, *done(9.0, 9.0, submission="fast")])).until_s == pytest.approx(4.0)


def test_the_cut_without_a_reference_looks_at_the_fastest_on_the_same_workload():
    times = {"fast": {"digits": [2.0] * 3, "tones": [1.0] * 3}, "nadamw": {"digits": [5.0] * 3}}
    rule = Cut().rule(context(), finished(table(times)))
    assert rule.until_s == math.nextafter(8.0, INF)
    assert Cut("nadamw").rule(context(), finished(table(times))).until_s == math.nextafter(20.0, INF)


def test_exact_policies_leave_out_the_base_unless_variants_are_held_out():
    missed = finished(done(None, None))
    ahead = context(workload="digits-v", variant_of="digits")
    assert exact_policies("nadamw").rule(ahead, missed).until_s == INF
    assert exact_policies("nadamw", held_out=True).rule(ahead, missed).until_s == 0.0
    assert exact_policies("nadamw").policies == (OwnStudy(), Median(), Cut("nadamw"))


def test_a_finished_trial_holds_its_curve_up_to_the_crossing_if_it_is_asked_for():
    hit = finished_trial(record(values=(0.3, None, 0.2, 0.95, 0.99), time=10.0))
    assert (hit.seed, hit.study, hit.trial, hit.time_s) == (0, 0, 0, 40.0)
    assert hit.curve.times.tolist() == [10.0, 30.0, 40.0]
    assert hit.curve.best.tolist() == [0.3, 0.3, 0.95]
    assert hit.curve.end_s == 40.0
    lower = finished_trial(record(values=(None, 0.5, 0.7), time=10.0, target=0.1, higher_is_better=False))
    assert (lower.time_s, lower.curve.end_s) == (INF, None)
    assert lower.curve.best.tolist() == [-0.5, -0.5]
    assert finished_trial(record(), curve=False).curve is None
    assert finished_trial(record(outcome="error")).curve is None
    assert finished_trial(replace(record(), evaluations=())).curve is None


def test_give_up():
    rule = GiveUp(2).rule(context(studies=5), finished(done(None, None)))
    assert rule.until_s == 0.0
    assert rule.stop_reason(0.0, ()) is Outcome.UNPROMISING
    for times in ([None], [None, 10.0, None]):
        assert GiveUp(2).rule(context(studies=5), finished(done(*times))).until_s == INF
    assert GiveUp(2).rule(context(studies=5, trials=2), finished(done(None, None))).until_s == INF


def forecast(known, slack=1.0, within=None, own=True, **other):
    policy = Forecast(within or AllOf(), slack, grace=0.0, own=own)
    return policy.rule(context(studies=5, **other), finished(known))


CURVE = {"submission": "nadamw", "values": (0.3, 0.5, 0.7, 0.8, 0.95), "time": 10.0}  # reaches 0.9 at 50 of 100 s


def test_a_curve_that_reached_the_target_is_stretched_to_the_budget():
    rule = forecast([record(**CURVE)])
    # Twice as slow comes at 100 s: just in time. Slower comes too late.
    assert rule.stop_reason(40.0, seen(0.5)) is None
    assert rule.stop_reason(39.0, seen(0.49)) is None
    assert rule.stop_reason(40.0, seen(0.49)) is Outcome.UNPROMISING
    assert rule.stop_reason(99.0, seen(0.89)) is None
    assert rule.stop_reason(100.0, seen(0.89)) is Outcome.UNPROMISING
    assert rule.stop_reason(40.0, seen(0.6, 0.1)) is None  # the best so far counts
    assert rule.stop_reason(40.0, seen(None)) is Outcome.UNPROMISING


def test_slack_forgives():
    rule = forecast([record(**CURVE)], slack=1.5)
    assert rule.stop_reason(59.0, seen(0.49)) is None
    assert rule.stop_reason(60.0, seen(0.49)) is Outcome.UNPROMISING


def test_the_time_that_is_left_is_what_the_exact_policies_leave():
    own = record("sgd", study=9, trial=1, values=(0.1, 0.95), time=12.5)  # the study's best: 25 s
    rule = forecast([record(**CURVE), own], within=OwnStudy(), trials=3, own=False)
    assert rule.until_s == 25.0
    assert rule.stop_reason(10.0, seen(0.49)) is Outcome.UNPROMISING
    assert rule.stop_reason(10.0, seen(0.5)) is None


def test_one_lenient_curve_is_enough():
    late = record("adam", values=(0.1, 0.1, 0.1, 0.95), time=12.5)
    assert forecast([record(**CURVE), late]).stop_reason(40.0, seen(0.2)) is None
    assert forecast([late, record(**CURVE)]).stop_reason(40.0, seen(0.2)) is None


def test_where_nobody_reached_the_target_the_best_miss_is_the_bar():
    misses = [record("nadamw", values=(0.2, 0.4, 0.6, 0.8), time=25.0), record("adam", values=(0.1,), time=50.0)]
    rule = forecast(misses)
    assert rule.stop_reason(50.0, seen(0.39)) is Outcome.UNPROMISING
    assert rule.stop_reason(50.0, seen(0.4)) is None
    assert forecast([]).stop_reason(99.0, seen(0.0)) is None


def test_lower_may_be_better():
    values = (0.7, 0.5, 0.3, 0.2, 0.05)
    known = record("nadamw", values=values, time=10.0, target=0.1, higher_is_better=False)
    rule = forecast([known], higher=False)
    assert rule.stop_reason(40.0, seen(0.5)) is None
    assert rule.stop_reason(40.0, seen(0.51)) is Outcome.UNPROMISING


def test_where_some_reached_the_target_misses_measure_nobody():
    # The miss stays at 0.1: as a measure it would forgive every curve above that.
    miss = record("adam", values=(0.1, 0.1), time=50.0)
    assert forecast([record(**CURVE), miss]).stop_reason(40.0, seen(0.2)) is Outcome.UNPROMISING


def test_a_trial_that_need_not_start_is_not_judged_by_curves():
    missed = done(None, None)
    rule = Forecast(Missed()).rule(context(), finished([record(**CURVE), *missed]))
    assert rule == Missed().rule(context(), finished(missed))
    assert rule.stop_reason(0.0, ()) is Outcome.SETTLED


def test_a_single_miss_is_a_measure():
    rule = forecast([record("adam", values=(0.2, 0.4), time=50.0)])
    assert rule.stop_reason(50.0, seen(0.19)) is Outcome.UNPROMISING
    assert rule.stop_reason(50.0, seen(0.2)) is None


def test_a_curve_that_reached_the_target_at_once_divides_nothing_by_zero():
    at_once = replace(record("adam", values=(0.95,), time=1.0), evaluations=(replace(seen(0.95)[0], time_s=0.0),))
    assert forecast([at_once]).stop_reason(0.0, seen(0.94)) is Outcome.UNPROMISING
    assert forecast([at_once]).stop_reason(0.0, seen(0.95)) is None


def test_any_time_above_zero_is_judged_by_curves():
    own = record("sgd", time=0.5, study=9, trial=1)
    rule = Forecast(OwnStudy(), 1.0, grace=0.0, own=False).rule(context(trials=3), finished([record(**CURVE), own]))
    assert rule.until_s == 0.5
    assert rule.stop_reason(0.4, seen(0.0)) is Outcome.UNPROMISING


def test_a_trial_without_a_curve_measures_nobody():
    broken = record("adam", time=1.0, outcome="error")
    assert forecast([broken]).stop_reason(99.0, seen(0.0)) is None
    assert forecast([record(**CURVE), broken]).stop_reason(40.0, seen(0.5)) is None


def test_the_defaults_of_the_heuristics():
    assert GiveUp() == GiveUp(2)
    assert Forecast(AllOf()) == Forecast(AllOf(), 2.0, 0.1, True)
    sure = exact_policies()
    assert forecast_policies(sure) == AllOf((GiveUp(2), Forecast(sure, 2.0)))
    assert exact_policies() == exact_policies(None, held_out=False)


def test_nothing_is_judged_at_first():
    rule = Forecast(AllOf(), 1.0, grace=0.3).rule(context(), finished([record(**CURVE)]))
    assert rule.stop_reason(29.0, seen(0.0)) is None
    assert rule.stop_reason(30.0, seen(0.0)) is Outcome.UNPROMISING


def test_its_own_curves_and_other_workloads_can_be_left_out():
    own = [record(**(CURVE | {"submission": "sgd", "study": 1}))]
    elsewhere = [record(**(CURVE | {"workload": "tones"}))]
    assert forecast(own).stop_reason(99.0, seen(0.0)) is Outcome.UNPROMISING
    assert forecast(own, own=False).stop_reason(99.0, seen(0.0)) is None
    assert forecast(elsewhere).stop_reason(99.0, seen(0.0)) is None


def test_policies_and_rules_travel():
    policy = AllOf((GiveUp(), Forecast(exact_policies("nadamw"), 1.5)))
    assert pickle.loads(pickle.dumps(policy)) == policy
    rule = policy.rule(context(), finished([record(**CURVE)]))
    assert pickle.loads(pickle.dumps(rule)) == rule
    with pytest.raises(AttributeError):
        policy.policies = ()


def slow(known, below=0.5, grace=0.0, **other):
    return Slow("nadamw", below, grace).rule(context(**other), finished(known))


def test_by_the_ladder_a_trial_stops_once_it_is_so_much_slower_than_the_reference():
    rule = slow([record(**CURVE)])  # 0.3, 0.5, 0.7 ... at 10, 20, 30 ... s
    # At 40 s the reference's value of 20 s is half as fast.
    assert rule.stop_reason(40.0, seen(0.5)) is None
    assert rule.stop_reason(40.0, seen(0.49)) is Outcome.UNPROMISING
    assert rule.stop_reason(39.0, seen(0.3)) is None
    assert rule.stop_reason(100.0, seen(0.94)) is Outcome.UNPROMISING, "it came to 0.95 after 50 s"
    assert rule.stop_reason(19.0, seen(0.0)) is None, "the reference has no value before 10 s"
    assert slow([record(**CURVE)], below=0.25).stop_reason(40.0, seen(0.49)) is None


def test_by_the_ladder_the_least_of_the_reference_s_curves_counts_and_no_other_s():
    late = record("nadamw", study=1, values=(0.1, 0.1, 0.1, 0.95), time=12.5)
    assert slow([record(**CURVE), late]).stop_reason(40.0, seen(0.2)) is None
    assert slow([record(**CURVE), record("adam", values=(0.1,), time=1.0)]).stop_reason(40.0, seen(0.2)) is not None
    assert slow([record("adam", values=(0.9,), time=1.0)]).stop_reason(99.0, seen(0.0)) is None
    assert slow([record("nadamw", time=1.0, outcome="error")]).stop_reason(99.0, seen(0.0)) is None


def test_by_the_ladder_the_reference_goes_on_and_nothing_is_judged_at_first():
    assert slow([record(**CURVE)], submission="nadamw").stop_reason(99.0, seen(0.0)) is None
    rule = slow([record(**CURVE)], grace=0.3)
    assert rule.stop_reason(29.0, seen(0.0)) is None
    assert rule.stop_reason(30.0, seen(0.0)) is Outcome.UNPROMISING
    assert Slow("nadamw") == Slow("nadamw", 0.3, 0.3)


def test_by_the_ladder_lower_may_be_better_and_no_target_is_needed():
    known = record("nadamw", values=(0.7, 0.5, 0.3), time=10.0, target=None, higher_is_better=False)
    rule = slow([known], higher=False)
    assert rule.stop_reason(40.0, seen(0.5)) is None
    assert rule.stop_reason(40.0, seen(0.51)) is Outcome.UNPROMISING

"""The rules, by worked examples and by their defining properties."""

from functools import partial

import numpy as np
import pytest

from scoring import scores

INF = np.inf


def test_anchored_credit_by_hand():
    # The reference takes 8. r = 1, 1/2, 2, 1/4, 4, 8 and a miss: log(4 / r) / log(16) in [0, 1].
    values = np.array([[8.0], [4.0], [16.0], [2.0], [32.0], [64.0], [INF]])
    credit = scores.anchored(values, reference=0, budget=np.array([100.0]))
    np.testing.assert_allclose(credit[:, 0], [0.5, 0.75, 0.25, 1.0, 0.0, 0.0, 0.0], atol=1e-15)
    assert credit[0, 0] == 0.5  # exactly


def test_budget_stands_for_a_reference_that_misses_which_earns_nothing_itself():
    credit = scores.anchored(np.array([[INF], [50.0], [100.0]]), reference=0, budget=np.array([100.0]))
    np.testing.assert_allclose(credit[:, 0], [0.0, 0.75, 0.5])


def test_without_a_reference_the_budget_is_the_mark():
    credit = scores.anchored(np.array([[25.0, INF]]), reference=None, budget=np.array([100.0, INF]))
    np.testing.assert_allclose(credit, [[1.0, 0.0]])


def test_algoperf_credit_by_hand():
    # a: 10, 20, 40, miss -> r = 1, 2, 4, inf -> (4 - min(r, 4)) / 3 = 1, 2/3, 0, 0. b: nobody, so 0 for all.
    values = np.array([[10.0, INF], [20.0, INF], [40.0, INF], [INF, INF]])
    np.testing.assert_allclose(scores.algoperf(values), [[1, 0], [2 / 3, 0], [0, 0], [0, 0]])


def test_algoperf_score_is_the_integral_of_the_profile():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 0.8, (7, 9)))
    values[rng.random(values.shape) < 0.2] = INF
    values[:, 3] = INF
    r = scores.ratios(values, values.min(axis=0))
    fine = 300_000
    middles = 1 + 3 * (np.arange(fine) + 0.5) / fine
    integral = scores.profile(r, middles).mean(axis=1)
    np.testing.assert_allclose(scores.score(scores.algoperf(values)), integral, atol=1e-5)


def test_published_area_is_the_trapezoid_rule_on_100_points():
    taus = np.linspace(1, 4, 100)
    r = np.array([1.0, 1.0000001, taus[1], 1.5, 2.0, taus[98], 3.9999, 4.0, 4.0000001, INF])
    by_hand = [np.trapezoid((one <= taus).astype(float), taus) / 3 for one in r]
    np.testing.assert_allclose(scores.published_area(r), by_hand, atol=1e-12)
    assert np.abs(scores.published_area(r[:8]) - scores.exact_area(r[:8])).max() <= 0.5 / 99 + 1e-6


def test_published_score_is_the_integral_of_the_whole_profile():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 0.8, (7, 9)))
    values[rng.random(values.shape) < 0.2] = INF
    taus = np.linspace(1, 4, 100)
    profile = scores.profile(scores.ratios(values, values.min(axis=0)), taus)
    made = scores.score(scores.algoperf(values, area=scores.published_area))
    np.testing.assert_allclose(made, np.trapezoid(profile, taus) / 3, atol=1e-12)


@pytest.mark.parametrize(
    ("base", "own", "left"),
    [
        # The held-out times change nothing while all are within four times the fastest.
        ([10.0, 20.0], [5.0, 20.0], [10.0, 20.0]),
        # Above four times the fastest held-out time: a miss, and so is its base time.
        ([10.0, 20.0], [5.0, 20.1], [10.0, INF]),
        ([10.0, 20.0], [5.0, INF], [10.0, INF]),
        # The fastest on the held-out workload missed its base: its held-out time counts for nobody.
        ([INF, 20.0], [1.0, 100.0], [INF, 20.0]),
        # Above four times the fastest base time is a miss even if that one then goes for its held-out time: the
        # second is not level with a mark of its own.
        ([10.0, 41.0], [INF, 5.0], [INF, INF]),
        ([10.0, 39.0], [INF, 5.0], [INF, 39.0]),
        # A base time above four times the fastest does not take its held-out time along.
        ([10.0, 50.0, 20.0], [8.0, 1.0, 4.1], [INF, INF, INF]),
    ],
)
def test_what_counts_beside_a_held_out_workload(base, own, left):
    values = np.array([[3.0, *pair] for pair in zip(own, base, strict=True)])
    expected = np.array([[3.0, one] for one in left])
    np.testing.assert_array_equal(scores.counted(values, {1: 2}), expected)
    np.testing.assert_array_equal(scores.counted(np.stack([values, values]), {1: 2}), [expected, expected])


def test_without_held_out_workloads_everything_counts():
    values = np.array([[1.0, 100.0], [5.0, INF]])
    assert scores.counted(values, {}) is values


def test_a_held_out_workload_has_no_credit_of_its_own():
    # The base ratios are 1 and 2; the second is five times slower on the held-out one.
    values = np.array([[10.0, 1.0], [20.0, 5.0]])
    np.testing.assert_allclose(scores.algoperf(values, held_out={1: 0}), [[1.0], [0.0]])
    values[1, 1] = 4.0
    np.testing.assert_allclose(scores.algoperf(values, held_out={1: 0}), [[1.0], [2 / 3]])


def test_profile_corners_are_exact():
    # r = 1, 1, 2.5, 4, 7 and a miss: of six workloads, two at once, a third at 2.5, a fourth at 4.
    r = np.array([1.0, 2.5, 1.0, 4.0, 7.0, INF])
    assert scores.profile_corners(r) == ((1.0, 2 / 6), (2.5, 3 / 6), (4.0, 4 / 6))
    at = scores.profile(r[None], np.array([1.0, 2.49, 2.5, 3.99, 4.0]))
    np.testing.assert_allclose(at, [[2 / 6, 2 / 6, 3 / 6, 3 / 6, 4 / 6]])
    assert scores.profile_corners(np.array([INF, 5.0])) == ()


def test_speedup_is_a_geometric_mean_over_what_both_reached():
    # 20 / 10 and 10 / 5 and 10 / 40 -> (2 * 2 / 4) ** (1/3) = 1; a workload that either misses is left out.
    reference = np.array([20.0, 10.0, 10.0, INF, 10.0])
    values = np.array([[10.0, 5.0, 40.0, 1.0, INF], [INF, INF, INF, 1.0, INF]])
    speedup = scores.speedup(values, reference)
    assert speedup[0] == pytest.approx(1.0)
    assert np.isnan(speedup[1])


@pytest.mark.parametrize(
    "credit", [scores.algoperf, partial(scores.anchored, reference=1, budget=np.array([9.0, 9.0, 9.0]))]
)
def test_leading_axes_pass_through_and_credits_are_numbers_in_0_1(credit):
    rng = np.random.default_rng(1)
    values = np.exp(rng.normal(0, 2, (5, 4, 3)))
    values[rng.random(values.shape) < 0.4] = INF
    together = credit(values)
    assert together.shape == values.shape
    assert np.all((together >= 0) & (together <= 1))
    assert np.all(together[np.isinf(values)] == 0)
    for one, alone in zip(values, together, strict=True):
        np.testing.assert_array_equal(credit(one), alone)


def test_scores_that_differ_by_rounding_are_ties():
    assert scores.score(np.array([0.5, 0.5 + 4e-13])) == 0.5
    assert scores.score(np.array([0.5, 0.5 + 4e-12])) == 0.5 + 2e-12


def test_ratios_to_a_mark_that_nobody_reached_are_misses():
    values = np.array([[10.0, 5.0], [INF, INF]])
    np.testing.assert_array_equal(scores.ratios(values, np.array([5.0, INF])), [[2.0, INF], [INF, INF]])


def test_marks_are_the_references_own_values_and_its_budget_where_it_misses():
    values, budget = np.array([[10.0, INF], [3.0, 4.0]]), np.array([100.0, 200.0])
    np.testing.assert_array_equal(scores.reference_marks(values, reference=0, budget=budget), [10.0, 200.0])
    np.testing.assert_array_equal(scores.reference_marks(values, reference=1, budget=budget), [3.0, 4.0])
    three = np.stack([values] * 3)
    np.testing.assert_array_equal(scores.reference_marks(three, reference=None, budget=budget), [budget] * 3)

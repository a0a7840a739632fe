"""Paired differences: by hand, against scipy, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scoring.paired import MOST_STUDIES, Differences, Noise, more_studies, noise_over, p_above
from scoring.sequential import level_of, look
from scoring.versus import Verdict, judged

NAN = np.nan


def test_on_one_workload_it_is_the_t_test_of_one_sample() -> None:
    sample = np.array([0.1, 0.3, -0.05, 0.2])
    own = Differences.of(sample[None, None])
    expected = stats.ttest_1samp(sample, 0.0)
    low, high = own.interval()
    assert (low[0], high[0]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert own.p_ahead()[0] == pytest.approx(1 - expected.pvalue / 2)
    assert own.counts.tolist() == [[4]]


def test_over_workloads_variances_add_and_freedom_is_welchs() -> None:
    first, second = np.array([0.1, 0.3, 0.2]), np.array([1.0, 1.4, 0.3])
    own = Differences.of(np.stack([first, second])[None])
    v, w = first.var(ddof=1) / 3, second.var(ddof=1) / 3
    assert own.value[0] == pytest.approx((first.mean() + second.mean()) / 2)
    assert own.error[0] == pytest.approx(np.sqrt(v + w) / 2)
    assert own.freedom[0] == pytest.approx((v + w) ** 2 / (v**2 / 2 + w**2 / 2))
    welch = stats.ttest_ind(first, -second, equal_var=False)
    assert own.freedom[0] == pytest.approx(welch.df)
    assert own.only(1).value[0] == pytest.approx(second.mean())


def test_a_single_study_borrows_the_noise_of_the_others() -> None:
    many = np.array([[0.1, 0.3, 0.2]])
    lone = np.array([[0.5, NAN, NAN]])
    own = Differences.of(np.stack([many, lone]))
    assert own.error[1] == pytest.approx(many.std(ddof=1))
    assert own.freedom[1] == 1, "of one other alone nobody knows how far submissions differ in noise"
    alone = Differences.of(lone[None])
    assert np.isnan(alone.interval()[0][0])
    assert alone.p_ahead()[0] == 0.5
    known = Differences.of(lone[None], Noise.of(many[None]))
    assert known.error[0] == pytest.approx(many.std(ddof=1))


def test_the_reference_itself_says_nothing_of_noise() -> None:
    logs = np.array([[[0.1, 0.3, 0.2]], [[0.0, 0.1, -0.1]]])
    noise = noise_over(logs, 1)
    difference = logs[0, 0] - logs[1, 0]
    assert (noise.variance[0], noise.freedom[0]) == (pytest.approx(difference.var(ddof=1)), 2)


def test_what_is_the_same_in_each_study_is_certain() -> None:
    own = Differences.of(np.array([[[0.2, 0.2, 0.2]], [[0.0, 0.0, 0.0]], [[-0.1, -0.1, -0.1]]]))
    assert own.p_ahead().tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert own.interval()[0].tolist() == pytest.approx([0.2, 0.0, -0.1])
    assert p_above(np.array([0.2]), np.array([0.0]), np.array([2.0]), bound=0.3)[0] == 0.0


def test_a_workload_without_a_difference_is_left_out() -> None:
    own = Differences.of(np.array([[[0.1, 0.3], [NAN, NAN]]]))
    assert own.value[0] == pytest.approx(0.2)
    assert np.isnan(own.on_workloads[0, 1])
    assert np.isnan(Differences.of(np.full((1, 1, 2), NAN)).value[0])


def test_the_interval_over_workloads_takes_them_for_a_sample() -> None:
    means = np.array([0.1, 0.4, -0.2])
    low, high = Differences.of(np.repeat(means[None, :, None], 2, axis=2)).interval_over_workloads()
    expected = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert (low[0], high[0]) == pytest.approx(tuple(expected))
    low, _ = Differences.of(np.array([[[0.1, 0.2]]])).interval_over_workloads()
    assert np.isnan(low[0])


@pytest.mark.parametrize("studies", [3, 5])
def test_intervals_hold_the_truth_as_often_as_they_say(studies: int) -> None:
    rng = np.random.default_rng(0)
    noise = np.array([0.15, 0.12, 0.055, 0.055])  # of log steps, as measured on four mini workloads
    truth = 0.1
    made = rng.normal(truth, noise[None, :, None], size=(4000, 4, studies))
    low, high = Differences.of(made).interval()
    share = ((low <= truth) & (truth <= high)).mean()
    assert 0.935 <= share <= 0.975


def test_the_sequential_test_errs_no_more_often_than_it_says() -> None:
    """Two copies of one submission, looked at after each of 2 to 25 studies: how often is one called better?"""
    rng = np.random.default_rng(1)
    noise = np.array([0.15, 0.12, 0.055, 0.055])
    made = rng.normal(0.0, np.sqrt(2) * noise[None, :, None], size=(3000, 4, 25))
    wrong = np.zeros(len(made), bool)
    naive = np.zeros(len(made), bool)
    for studies in range(2, 26):
        own = Differences.of(made[..., :studies])
        low, high = own.interval(level_of(studies, first=2, alpha=0.05))
        wrong |= (low > 0) | (high < 0)
        low, high = own.interval()
        naive |= (low > 0) | (high < 0)
    assert wrong.mean() <= 0.05
    assert naive.mean() > 0.15, "what is wrong with looking at 95 % intervals again and again"


def test_the_shares_of_all_looks_add_up_to_what_is_allowed() -> None:
    for first in (1, 2, 7):
        spent = sum(1 - level_of(k, first=first, alpha=0.05) for k in range(first, 200_000))
        assert spent == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(ValueError, match="expected 3 or more"):
        level_of(2, first=3, alpha=0.05)


def test_a_look_has_the_interval_of_its_level() -> None:
    own = Differences.of(np.array([[[0.1, 0.12, 0.11]]]))
    seen = look(own, studies=3, first=2)
    assert seen.level == pytest.approx(1 - 0.05 * 2 / (3 * 4))
    assert (seen.low, seen.high) == pytest.approx(tuple(end[0] for end in own.interval(seen.level)))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.3, Verdict.BETTER),
        (-0.3, -0.01, Verdict.BETTER),
        (-0.04, 0.04, Verdict.EQUIVALENT),
        (0.01, 0.04, Verdict.EQUIVALENT),
        (-0.06, 0.04, Verdict.UNDECIDED),
    ],
)
def test_three_verdicts(low: float, high: float, verdict: Verdict) -> None:
    assert judged(low, high, 0.05) is verdict


def test_as_many_studies_as_are_asked_for_decide_with_their_power() -> None:
    """Of many pairs with such a difference, so many studies more decide four in five."""
    rng = np.random.default_rng(2)
    noise, truth = np.array([0.1, 0.05]), 0.05
    shape = 0.1 * np.array([-1.2247448714, 0.0, 1.2247448714])  # three studies with a variance of 0.015
    own = Differences.of(truth + np.stack([shape * noise[0] / 0.1, shape * noise[1] / 0.1])[None])
    single = (own.errors_on[0] ** 2 * 3) ** 0.5
    more = more_studies(own, truth)
    assert more is not None
    made = rng.normal(truth, single[None, :, None], size=(4000, 2, 3 + more))
    low, high = Differences.of(made).interval()
    assert ((low > 0) | (high < 0)).mean() == pytest.approx(0.8, abs=0.04)
    assert more_studies(own, 0.0) is None
    assert more_studies(own, 10.0) == 1
    assert MOST_STUDIES == 1000


@pytest.mark.parametrize(("spread", "freedom"), [(0.0, 40.0), (0.6, 8.0)])
def test_a_single_study_is_as_uncertain_as_submissions_differ_in_noise(spread: float, freedom: float) -> None:
    """Log-normal deviations of 0.6 are like an inverse chi-squared with trigamma(d / 2) = (2 * 0.6)^2."""
    rng = np.random.default_rng(0)
    noise = np.exp(spread * rng.normal(size=(40, 1, 1)))
    found = Noise.of(noise * rng.normal(size=(40, 4, 8))).borrowed
    assert found == pytest.approx(freedom, rel=0.5) if not spread else 1.0 < found < freedom
    assert Noise.of(np.full((3, 2, 1), 0.1)).borrowed == 0.0


def test_a_noisy_submission_is_seldom_told_apart_by_one_study() -> None:
    """Where noise differs by far, a t of the pooled degrees of freedom errs twice as often as it says."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        noise = np.exp(0.6 * rng.normal(size=(11, 1, 1)))
        others = noise[1:] * rng.normal(size=(10, 2, 5))
        lone = np.full((1, 2, 5), NAN)
        lone[..., 0] = noise[0] * rng.normal(size=(1, 2))
        low, high = Differences.of(lone, Noise.of(others)).interval()
        wrong += bool(low[0] > 0 or high[0] < 0)
    assert wrong / 2000 <= 0.06

"""Resampling against full enumeration, and what intervals, odds and ties mean."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from scoring import bootstrap, scores
from scoring.certainty import Resampled, tie_groups

INF, NAN = np.inf, np.nan
BUDGET = np.array([100.0])
ANCHORED = partial(scores.anchored, reference=0, budget=BUDGET)
PINNED = [[2.0, 2.0, 2.0, 1.0, 4.0, 2.0, 4.0, 4.0], [4.0, 1.0, 1.0, 2.0, 4.0, 4.0, 1.0, 1.0]]
PINNED_LARGE = [2.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 1.0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_medians_of_resamples_are_as_frequent_as_among_all(n):
    values = 2.0 ** np.arange(n)
    seen, counts = np.unique(np.median(list(product(values, repeat=n)), axis=1), return_counts=True)
    (drawn,) = bootstrap.draw_medians(values[None, None], ["w"], seed=0, draws=20_000)
    drawn_seen, drawn_counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(drawn_seen, seen)
    np.testing.assert_allclose(drawn_counts / 20_000, counts / n**n, atol=0.012)


def test_a_draw_takes_the_same_studies_of_all():
    # The two differ by a factor of two in each study, so in each draw, however much the studies differ.
    own = np.exp(np.random.default_rng(0).normal(2, 1.0, (1, 2, 5)))
    (drawn,) = bootstrap.draw_medians(np.concatenate([own, 2 * own]), "vw", seed=0, draws=200)
    np.testing.assert_allclose(drawn[:, 1], 2 * drawn[:, 0])
    assert len(np.unique(drawn[:, 0, 0])) == 5
    assert not np.allclose(
        drawn[:, 0, 0] / own[0, 0, 0], drawn[:, 0, 1] / own[0, 1, 0]
    )  # workloads are drawn apart


def test_studies_that_one_lacks_are_left_out_of_its_draws():
    studies = np.array([[[1.0, NAN, 4.0]], [[1.0, 4.0, NAN]], [[1.0, 2.0, 4.0]]])
    (drawn,) = bootstrap.draw_medians(studies, "w", seed=0, draws=100)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert set(drawn[:, 0, 0]) == {1.0, 2.5, 4.0}
    assert set(drawn[:, 2, 0]) == {1.0, 2.0, 4.0}


def test_two_studies_by_hand():
    # 8 and 16 s against a reference of 10 s: medians 8, 12, 12, 16 are equally likely.
    studies = np.array([[[10.0, 10.0]], [[8.0, 16.0]]])
    drawn = bootstrap.draw_scores(studies, "w", ANCHORED, seed=0, draws=8000)
    np.testing.assert_array_equal(drawn[:, 0], 0.5)
    seen, counts = np.unique(drawn[:, 1], return_counts=True)
    # log(4 / 1.6) / log(16), log(4 / 1.2) / log(16), log(4 / 0.8) / log(16)
    np.testing.assert_allclose(seen, [0.330482024, 0.434241399, 0.580482024], atol=1e-9)
    np.testing.assert_allclose(counts / 8000, [0.25, 0.5, 0.25], atol=0.02)


def test_reference_draw_is_shared():
    # The submission's own times never vary, so the only doubt is the reference's, the same for both.
    studies = np.array([[[5.0, 10.0, 20.0]], [[10.0] * 3], [[20.0] * 3]])
    drawn = bootstrap.draw_scores(studies, "w", ANCHORED, seed=0, draws=500)
    np.testing.assert_array_equal(drawn[:, 0], 0.5)
    assert len(np.unique(drawn[:, 1])) == 3
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 2], 0.25)  # twice as long costs log(2) / log(16)


def test_misses_and_absent_studies():
    studies = np.array([[[10.0, 10.0, 10.0]], [[INF, INF, INF]], [[NAN, NAN, NAN]], [[20.0, NAN, NAN]]])
    drawn = bootstrap.draw_scores(studies, "w", ANCHORED, seed=0, draws=50)
    np.testing.assert_allclose(drawn, np.tile([0.5, 0.0, 0.0, 0.25], (50, 1)))


def test_the_order_of_workloads_and_further_ones_change_no_draw():
    studies = np.exp(np.random.default_rng(0).normal(2, 0.3, (2, 3, 5)))
    (abc,) = bootstrap.draw_medians(studies, "abc", seed=0, draws=50)
    (cab,) = bootstrap.draw_medians(studies[:, [2, 0, 1]], "cab", seed=0, draws=50)
    (b,) = bootstrap.draw_medians(studies[:, [1]], "b", seed=0, draws=50)
    np.testing.assert_array_equal(abc[:, :, [2, 0, 1]], cab)
    np.testing.assert_array_equal(abc[:, :, [1]], b)


def test_interval_of_a_submission_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    studies = np.exp(rng.normal(2, 0.3, (4, 1, 5)))
    few = bootstrap.draw_scores(studies[:2], "w", ANCHORED, seed=3, draws=200)
    many = bootstrap.draw_scores(studies, "w", ANCHORED, seed=3, draws=200)
    np.testing.assert_array_equal(few, many[:, :2])


def test_chunks_do_not_change_draws(monkeypatch):
    studies = np.exp(np.random.default_rng(0).normal(2, 0.3, (3, 2, 4)))
    whole = bootstrap.draw_scores(studies, "vw", scores.algoperf, seed=0, draws=101)
    monkeypatch.setattr(bootstrap, "CHUNK", 60)
    np.testing.assert_array_equal(bootstrap.draw_scores(studies, "vw", scores.algoperf, seed=0, draws=101), whole)


def test_interval_and_odds():
    low, high = bootstrap.interval(np.arange(1001.0)[:, None])
    assert (low[0], high[0]) == (pytest.approx(25), pytest.approx(975))
    assert (
        bootstrap.p_ahead(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 4.0, 0.0])) == 0.625
    )  # 2 and a half of 4


def test_tie_groups_compare_with_the_first_of_the_group():
    # 100 draws: b is behind a in 90, c in 94, d in 95; then e is behind d in all, and f level with e.
    a, d, e = np.ones(100), np.zeros(100), np.full(100, -1.0)
    b, c = np.where(np.arange(100) < 90, 0.0, 2.0), np.where(np.arange(100) < 94, 0.0, 2.0)
    d[95:] = 2.0
    assert tie_groups(Resampled(np.stack([a, b, c, d, e, e], axis=1)), range(6)) == [1, 1, 1, 2, 3, 3]
    assert tie_groups(Resampled(np.stack([d, a], axis=1)), [1, 0]) == [1, 2]
    assert tie_groups(Resampled(np.ones((10, 1))), [0]) == [1]


def test_no_draws_is_refused():
    with pytest.raises(ValueError, match="draws is 0"):
        bootstrap.draw_scores(np.ones((1, 1, 1)), "w", scores.algoperf, seed=0, draws=0)


def test_draws_are_the_same_on_every_machine():
    # Boards are compared byte for byte: these are the streams of (seed, studies, workload).
    studies = np.tile(2.0 ** np.arange(3), (1, 2, 1))
    (drawn,) = bootstrap.draw_medians(studies, ["x", "yz"], seed=0, draws=8)
    assert drawn[:, 0].T.tolist() == PINNED
    (large,) = bootstrap.draw_medians(studies[:, :1], ["x"], seed=2**40, draws=8)
    assert large.ravel().tolist() == PINNED_LARGE


def test_names_do_not_run_into_each_other():
    studies = np.exp(np.random.default_rng(0).normal(2, 0.3, (1, 1, 5)))
    (first,) = bootstrap.draw_medians(studies, ["c"], seed=0, draws=50)
    (second,) = bootstrap.draw_medians(studies, ["bc"], seed=0, draws=50)
    assert (first != second).any()


def test_an_interval_holds_the_share_that_is_asked_for():
    low, high = bootstrap.interval(np.arange(1001.0)[:, None], share=0.5)
    assert (low[0], high[0]) == (pytest.approx(250), pytest.approx(750))


def test_one_draw_is_enough():
    assert bootstrap.draw_scores(np.ones((1, 1, 1)), "w", scores.algoperf, seed=0, draws=1).shape == (1, 1)

"""Findings about who would win without a workload or a submission."""

from functools import partial

import numpy as np
import pytest

from scoring import scores
from scoring.robustness import _line, _sole_fastest, changes_of_winner


def test_without_its_best_workload_the_winner_loses():
    # Against 10 s everywhere a has credits 1, 0.5, 0.5 and b 0.75, 0.75, 0.25. Without x both have 0.5: a keeps.
    # With b's 10 s on x and 8 s on z it has 0.5, 0.75, 0.58: a wins by 0.67 to 0.61, without x b by 0.67 to 0.50.
    names, workloads = ["a", "b"], ["x", "y", "z"]
    credit = partial(scores.anchored, reference=None, budget=np.full(3, 10.0))
    values = np.array([[2.5, 10.0, 10.0], [5.0, 5.0, 20.0]])
    assert changes_of_winner(values, names, workloads, credit, relative=False) == []
    values[1, 2] = 8.0
    values[1, 0] = 10.0
    found = changes_of_winner(values, names, workloads, credit, relative=False)
    assert found == ["without x, b would win (0.67 to 0.50)"]


def test_a_third_submission_can_decide_between_two():
    # c is fastest on x by far, which makes a and b equally worthless there. Without it a loses x to b:
    # with c: a = (0 + 1) / 2 = 0.5, b = (0 + 0.667) / 2 = 0.333, c = (1 + 0) / 2 = 0.5.
    # without c: a = (0 + 1) / 2 = 0.5, b = (1 + 0.667) / 2 = 0.833.
    values = np.array([[40.0, 10.0], [8.0, 20.0], [1.0, 90.0]])
    found = changes_of_winner(values, ["a", "b", "c"], ["x", "y"], scores.algoperf, relative=True)
    assert found[-1] == "without c, b would win (0.83 to 0.50)"


def test_one_workload_and_equal_submissions_say_nothing():
    assert changes_of_winner(np.array([[1.0], [2.0]]), "ab", ["x"], scores.algoperf, relative=True) == []
    assert changes_of_winner(np.ones((3, 4)), "abc", list("wxyz"), scores.algoperf, relative=True) == []


def test_a_held_out_workload_goes_with_its_base_and_alone():
    # Base x with its held-out x2, and y. a: 1 and 2/3. b: a miss of x2 takes x, and 1 on y. c: level on both, 2/3.
    values = np.array([[10.0, 5.0, 20.0], [10.0, np.inf, 10.0], [20.0, 10.0, 20.0]])
    held_out = {1: 0}
    credit = partial(scores.algoperf, held_out=held_out)
    np.testing.assert_allclose(scores.score(credit(values)), [5 / 6, 1 / 2, 2 / 3])
    found = changes_of_winner(values, "abc", ["x", "x2", "y"], credit, relative=True, held_out=held_out)
    assert found == ["without x, b would win (1.00 to 0.67)", "without x2, b would win (1.00 to 0.83)"]


def test_who_is_fastest_of_what_counts_is_dropped_too():
    # c is fastest on x but misses its held-out x2, so b, which is alone fastest of no times as made, sets the mark:
    # a = (2/3 + 1.6/3) / 2, d = (1/6 + 1) / 2. Without b the mark is a: a = (1 + 1.6/3) / 2, d = (3/4 + 1) / 2.
    values = np.array([[20.0, 9.0, 24.0], [35.0, 9.0, 10.0], [10.0, 9.0, np.inf], [9.0, np.inf, np.inf]])
    held_out = {1: 0}
    credit = partial(scores.algoperf, held_out=held_out)
    np.testing.assert_allclose(scores.score(credit(values)), [0.6, 7 / 12, 1 / 2, 0])
    found = changes_of_winner(values, "adbc", ["x", "x2", "y"], credit, relative=True, held_out=held_out)
    assert found == [
        "without x, d would win (1.00 to 0.53)",
        "without y, b would win (1.00 to 0.67)",
        "without b, d would win (0.88 to 0.77)",
    ]


@pytest.mark.parametrize(
    ("second", "lines"),
    [
        (0.25, ["without x, b would win (0.25 to 0.00)"]),
        (0.004, ["without x, b would win (0.0040 to 0.0000)"]),  # equal in two digits
        (2e-9, ["without x, b would win (0.0000 to 0.0000)"]),
        (1e-9, []),  # as good as equal
        (0.0, []),
        (-0.5, []),
    ],
)
def test_a_winner_changes_where_another_one_is_ahead_by_more_than_rounding(second, lines):
    assert _line("x", np.array([0.0, second, -1.0]), "abc") == lines


def test_who_alone_is_fastest_somewhere():
    inf = np.inf
    assert _sole_fastest(np.array([[1.0, 3.0, inf], [2.0, 3.0, inf], [3.0, 4.0, inf]])) == [0]
    assert _sole_fastest(np.array([[1.0], [2.0]]), np.array([[inf], [2.0]])) == [0, 1]
    assert _sole_fastest(np.array([[inf]])) == []

"""Findings about who would win without a workload or a submission."""

from functools import partial

import numpy as np

from scoring import scores
from scoring.robustness import changes_of_winner


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

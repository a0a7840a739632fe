"""Mean average precision beside scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from workloads.average_precision import MEAN_AVERAGE_PRECISION
from workloads.base import Batch


def found(scores, labels):
    """The metric as an evaluation computes it: rows of two batches, then one number."""
    parts = []
    for rows in (slice(None, 7), slice(7, None)):
        batch = Batch((), torch.tensor(labels[rows]), torch.arange(len(labels[rows])))
        parts.append(MEAN_AVERAGE_PRECISION.rows(lambda rows=rows: torch.tensor(scores[rows]), batch))
    return MEAN_AVERAGE_PRECISION.reduce(torch.cat(parts).double())


def expected(scores, labels):
    """Label by label, each over the examples that have it; labels with one kind of example are left out."""
    values = []
    for score, label in zip(scores.T, labels.T, strict=True):
        known = ~np.isnan(label)
        if len(np.unique(label[known])) == 2:
            values.append(average_precision_score(label[known], score[known]))
    return np.mean(values)


def drawn(seed, count=60, columns=5, missing=0.4, positive=0.2):
    random = np.random.RandomState(seed)
    labels = (random.rand(count, columns) < positive).astype(np.float32)
    labels[random.rand(count, columns) < missing] = np.nan
    return random.randn(count, columns).astype(np.float32), labels


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_is_that_of_scikit_learn(seed, decimals):
    scores, labels = drawn(seed)
    if decimals is not None:
        scores = scores.round(decimals)  # so that many are equal, also of examples with and without the label
    assert found(scores, labels) == pytest.approx(expected(scores, labels), rel=1e-12)


def test_by_hand():
    scores = np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)
    assert found(scores, np.array([[1], [0], [1], [0]], np.float32)) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found(scores, np.array([[1], [np.nan], [1], [0]], np.float32)) == 1
    assert found(0 * scores, np.array([[1], [0], [1], [0]], np.float32)) == 0.5


def test_labels_of_one_kind_are_left_out():
    scores, labels = drawn(0, columns=6)
    labels[:, 3], labels[:, 4], labels[:, 5] = 0, np.nan, 1
    assert found(scores, labels) == found(scores[:, :3], labels[:, :3])
    assert math.isnan(found(scores[:, 3:], labels[:, 3:]))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_gives_no_value(number):
    scores, labels = drawn(0)
    row, column = np.argwhere(np.isnan(labels))[0]
    scores[row, column] = number  # even one that nobody asks for
    assert math.isnan(found(scores, labels))


def test_the_order_of_examples_does_not_matter():
    scores, labels = drawn(1)
    scores = scores.round(0)
    order = np.random.RandomState(0).permutation(len(scores))
    assert found(scores[order], labels[order]) == pytest.approx(found(scores, labels), rel=1e-12)

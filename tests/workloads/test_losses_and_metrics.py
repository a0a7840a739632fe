"""Losses and metrics beside the plain formulas, on numbers made up here."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from workloads.base import PADDING, Batch, LossKind, Workload
from workloads.datasets.base import Dataset
from workloads.losses import binary_cross_entropy, cross_entropy, ctc, l1
from workloads.metrics import ERROR_RATE, evaluate, mean_loss, to_device


def batch(targets: torch.Tensor) -> Batch:
    return Batch((), targets, torch.arange(len(targets)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_cross_entropy(shape, smoothing):
    torch.manual_seed(0)
    outputs, targets = torch.randn(*shape, 5), torch.randint(5, shape)
    terms = cross_entropy(outputs, batch(targets), label_smoothing=smoothing)
    each = functional.cross_entropy(
        outputs.movedim(-1, 1), targets, reduction="none", label_smoothing=smoothing
    ).reshape(6, -1)
    torch.testing.assert_close(terms.summed, each.sum(1))
    assert terms.units.tolist() == [each.shape[1]] * 6
    torch.testing.assert_close(terms.mean(), each.mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_binary_cross_entropy(shape, smoothing):
    torch.manual_seed(0)
    outputs, targets = torch.randn(shape), torch.randint(2, shape).float()
    terms = binary_cross_entropy(outputs, batch(targets), label_smoothing=smoothing)
    p, y = outputs.double().sigmoid(), targets.double() * (1 - smoothing) + smoothing / 2
    each = -(y * p.log() + (1 - y) * (1 - p).log()).reshape(6, -1)
    torch.testing.assert_close(terms.summed.double(), each.sum(1), rtol=1e-5, atol=1e-6)
    assert terms.units.tolist() == [each.shape[1]] * 6


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_padding_is_no_target(smoothing):
    torch.manual_seed(0)
    outputs, targets = torch.randn(3, 4, 5), torch.randint(5, (3, 4))
    whole = cross_entropy(outputs[:, :2], batch(targets[:, :2]), label_smoothing=smoothing)
    targets[:, 2:] = PADDING
    padded = cross_entropy(outputs, batch(targets), label_smoothing=smoothing)
    torch.testing.assert_close(padded.summed, whole.summed)
    assert padded.units.tolist() == [2.0] * 3


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_missing_labels_are_masked_and_get_no_gradient(smoothing):
    torch.manual_seed(0)
    outputs, targets = torch.randn(6, 3, requires_grad=True), torch.randint(2, (6, 3)).float()
    whole = binary_cross_entropy(outputs[:, :2], batch(targets[:, :2]), label_smoothing=smoothing)
    targets[:, 2] = math.nan
    masked = binary_cross_entropy(outputs, batch(targets), label_smoothing=smoothing)
    torch.testing.assert_close(masked, whole)
    masked.mean().backward()
    assert outputs.grad[:, 2].eq(0).all()
    assert outputs.grad[:, :2].ne(0).all()


def test_l1():
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, -3.0]]), torch.tensor([[0.0, 4.0], [0.0, 1.0]])
    terms = l1(outputs, batch(targets))
    assert terms.summed.tolist() == [3.0, 4.0]
    assert terms.units.tolist() == [2.0, 2.0]


def test_ctc_sums_the_paths_of_each_target():
    """Two frames spell "a" in three ways (aa, a-, -a) and "ab" in one; a third frame of the first is padding."""
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 3, 3), torch.tensor([[1, PADDING], [1, 2], [1, 2]])
    lengths = torch.tensor([2, 2, 3])
    p = logits.double().softmax(-1)
    one = p[0, 0, 1] * p[0, 1, 1] + p[0, 0, 1] * p[0, 1, 0] + p[0, 0, 0] * p[0, 1, 1]
    two = p[1, 0, 1] * p[1, 1, 2]
    three = sum(
        p[2, 0, i] * p[2, 1, j] * p[2, 2, k] for i, j, k in [(1, 2, 2), (1, 1, 2), (0, 1, 2), (1, 0, 2), (1, 2, 0)]
    )
    terms = ctc((logits, lengths), batch(targets))
    torch.testing.assert_close(terms.summed.double(), -torch.stack([one, two, three]).log(), rtol=1e-5, atol=1e-6)
    assert terms.units.tolist() == [1.0, 2.0, 2.0]


@pytest.mark.parametrize("loss", [l1, ctc])
def test_losses_without_classes_refuse_label_smoothing(loss):
    with pytest.raises(ValueError, match=r"smoothing of 0\.1.*expected 0"):
        loss(torch.zeros(2, 2), batch(torch.zeros(2, 2)), label_smoothing=0.1)


def test_error_rate():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    given = Batch((outputs,), torch.tensor([1, 1, 1, 1]), torch.arange(4))
    rows = ERROR_RATE.rows(Given(), given)
    assert ERROR_RATE.reduce(rows) == 0.25


def test_mean_loss_weighs_examples_by_their_units():
    rows = torch.tensor([[6.0, 3.0], [1.0, 1.0]])
    assert mean_loss(cross_entropy, "loss").reduce(rows) == 7 / 4


class Given(nn.Module):
    """Returns its input, so that a test decides the outputs."""

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs


GIVEN = Workload(
    name="given",
    suite="test",
    task="none",
    dataset=Dataset(name="none", version=1, packages=(), convert=dict, sha256="", examples={}),
    model=Given,
    loss=cross_entropy,
    loss_kind=LossKind.CROSS_ENTROPY,
    metric=ERROR_RATE,
    collate=lambda arrays, index: Batch(
        (torch.from_numpy(arrays["x"][index]),), torch.from_numpy(arrays["y"][index]), torch.from_numpy(index)
    ),
    batch_size=1,
    step_hint=1,
    eval_batch_size=2,
)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", [ERROR_RATE, mean_loss(cross_entropy, "loss")], ids=lambda metric: metric.name)
def test_one_bad_score_in_one_example_is_no_value(bad, metric):
    x = np.zeros((5, 3), dtype=np.float32)
    x[4, 0] = bad
    arrays = {"x": x, "y": np.zeros(5, dtype=np.int64)}
    workload = replace(GIVEN, metric=metric)
    assert evaluate(workload, Given(), arrays, torch.device("cpu")).value is None
    assert evaluate(workload, Given(), {k: v[:4] for k, v in arrays.items()}, torch.device("cpu")).value is not None


def test_metrics_beside_are_told_and_examples_of_like_length_go_together():
    seen = []

    def collate(arrays, index):
        seen.append(arrays["x"][index, 0].tolist())
        return GIVEN.collate(arrays, index)

    workload = replace(
        GIVEN,
        collate=collate,
        extra_metrics=(mean_loss(cross_entropy, "loss"),),
        lengths=lambda arrays: arrays["x"][:, 0],
    )
    arrays = {"x": np.array([[3, 0], [1, 0], [2, 0], [4, 0]], np.float32), "y": np.zeros(4, np.int64)}
    value, extra_metrics = evaluate(workload, Given(), arrays, torch.device("cpu"))
    assert seen == [[1.0, 2.0], [3.0, 4.0]]
    assert value == 0.0
    expected = functional.cross_entropy(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])).item()
    assert extra_metrics == {"loss": pytest.approx(expected)}


def test_the_mode_is_restored_after_an_error():
    model = Given()
    arrays = {"y": np.zeros(3, np.int64), "x": np.zeros((1, 2), np.float32)}
    with pytest.raises(IndexError):
        evaluate(GIVEN, model, arrays, torch.device("cpu"))
    assert model.training


def test_a_batch_on_its_device_is_not_copied():
    here = batch(torch.zeros(2))
    assert to_device(here, torch.device("cpu")) is here

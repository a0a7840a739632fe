"""What is written here, not taken from a package, against the plain formula in float64 on random inputs."""

from __future__ import annotations

import dog
import numpy as np
import pytest
import torch
from pytorch_optimizer import SAM as PackagedSAM
from torch import nn

from submissions.adadagrad import AdAdaGrad
from submissions.el2n import _error
from submissions.gradient_regularization import GradientRegularization
from submissions.parts.averages import Latest, Running, WeightAverage, exponential, polynomial
from submissions.parts.clipping import clip_coordinates
from submissions.sam import SAM
from submissions.sgd_sai import _scale_once
from submissions.smb import SMB, model_step
from submissions.zo_sgd import ZerothOrderSGD
from tests.submissions.rig import VIEW, bowl, nothing, training_of
from workloads.base import PADDING, Batch

SEEDS = range(5)


def vectors(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_model_step_of_smb_solves_its_system(seed: int) -> None:
    before, there, step = vectors(seed, 3, 7)
    eta = 0.9
    change = there - before
    norm = np.linalg.norm
    sigma = 0.5 * (norm(step) * (norm(change) + norm(before) / eta) - change @ step)
    system = 2 * sigma * np.eye(7) + np.outer(step, change) + np.outer(change, step)
    expected = np.linalg.solve(system, -(step @ step) * before)
    found = model_step(*map(torch.from_numpy, (before, there, step)), eta).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert norm(found) <= eta * norm(step) * (1 + 1e-9)


def test_a_tensor_without_gradient_stays_where_it_is_in_smb() -> None:
    assert not model_step(torch.zeros(3), torch.ones(3), torch.zeros(3), 0.9).any()


@pytest.mark.parametrize("lr", [0.01, 5.0])
def test_smb_steps_as_written(lr: float) -> None:
    matrix, model = bowl()
    start = model.weights
    training = training_of(model, lr=lr, c=0.1, eta=0.9)
    submission = SMB()
    submission.configure(model, VIEW, training.hp)
    loss = submission.update(training, nothing())

    gradient = matrix @ start
    trial = start - lr * gradient
    value = lambda w: 0.5 * w @ matrix @ w  # noqa: E731
    assert float(loss) == pytest.approx(value(start))
    accepted = value(trial) <= value(start) - 0.1 * lr * gradient @ gradient
    assert accepted == (lr == 0.01)
    if accepted:
        expected = trial
    else:
        parts = [slice(0, 4), slice(4, 6)]  # its two tensors
        there = matrix @ trial
        arguments = [[torch.from_numpy(v[part]) for v in (gradient, there, -lr * gradient)] for part in parts]
        expected = start + np.concatenate([model_step(*a, 0.9).numpy() for a in arguments])
    np.testing.assert_allclose(model.weights, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_sam_takes_the_gradient_uphill(seed: int) -> None:
    matrix, model = bowl(seed)
    start = model.weights
    training = training_of(model, rho=0.3)
    submission = SAM()
    submission.perturbed = list(model.parameters())
    training.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    submission.update(training, nothing())
    gradient = matrix @ start
    uphill = start + 0.3 * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(model.weights, start - 0.1 * matrix @ uphill, rtol=1e-9)


def test_sam_agrees_with_the_packaged_one() -> None:
    _, model = bowl()
    _, other = bowl()
    training = training_of(model, rho=0.2)
    submission = SAM()
    submission.perturbed = list(model.parameters())
    training.optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    packaged = PackagedSAM(other.parameters(), torch.optim.Adam, rho=0.2, lr=0.05)
    closure = training_of(other).closure(nothing())

    def again() -> torch.Tensor:
        packaged.zero_grad()
        loss = other()
        loss.backward()
        return loss

    for _ in range(5):
        submission.update(training, nothing())
        closure()
        packaged.step(again)
    np.testing.assert_allclose(model.weights, other.weights, rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_regularization_descends_the_penalized_loss(seed: int) -> None:
    matrix, model = bowl(seed)
    start = model.weights
    training = training_of(model, epsilon=0.01, gamma=0.2)
    submission = GradientRegularization()
    submission.parameters = list(model.parameters())
    training.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    submission.update(training, nothing())
    gradient = matrix @ start
    # On a quadratic the finite difference is exact: the gradient of loss + gamma / 2 |gradient|^2.
    np.testing.assert_allclose(model.weights, start - 0.1 * (gradient + 0.2 * matrix @ gradient), rtol=1e-7)


@pytest.mark.parametrize("share", [0.1, 0.34, 1.0])
def test_coordinate_clipping_cuts_the_largest_of_all(share: float) -> None:
    gradient = vectors(1, 20)
    parameters = [nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(8))]
    optimizer = clip_coordinates(torch.optim.SGD(parameters, lr=1.0), share)
    parameters[0].grad = torch.tensor(gradient[:12].reshape(3, 4), dtype=torch.float32)
    parameters[1].grad = torch.tensor(gradient[12:], dtype=torch.float32)
    optimizer.step()
    tau = np.sort(np.abs(gradient))[::-1][min(19, round(share * 20))]
    moved = -torch.cat([p.detach().flatten() for p in parameters]).numpy()
    np.testing.assert_allclose(moved, np.clip(gradient, -tau, tau), rtol=1e-6)


def path_of(rule: Running | Latest, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights over some steps [steps, size], and the average that the rule makes of them."""
    walk = vectors(3, steps, 6).cumsum(axis=0)
    _, model = bowl()
    average = WeightAverage(model, rule)
    for weights in walk:
        with torch.no_grad():
            model.parts[0].copy_(torch.from_numpy(weights[:4].reshape(2, 2)))
            model.parts[1].copy_(torch.from_numpy(weights[4:]))
        average.update()
    average.swap_in()
    found = model.weights
    average.swap_out()
    np.testing.assert_array_equal(model.weights, walk[-1])
    return walk, found


def test_an_exponential_average() -> None:
    walk, found = path_of(Running(exponential(0.8)), 12)
    expected = walk[:5].mean(axis=0)  # a plain mean while that is the wider window
    for weights in walk[5:]:
        expected = 0.8 * expected + 0.2 * weights
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_polynomial_average_agrees_with_dogs_own() -> None:
    walk, found = path_of(Running(polynomial(8.0)), 12)
    model = nn.ParameterList([nn.Parameter(torch.zeros(6, dtype=torch.float64))])
    packaged = dog.PolynomialDecayAverager(model, gamma=8.0)
    for weights in walk:
        with torch.no_grad():
            model[0].copy_(torch.from_numpy(weights))
        packaged.step()
    np.testing.assert_allclose(found, packaged.averaged_model[0].detach().numpy(), rtol=1e-12)


def test_the_mean_of_the_latest_checkpoints() -> None:
    walk, found = path_of(Latest(every=3, count=2), 13)
    np.testing.assert_allclose(found, walk[[8, 11]].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_zeroth_order_sgd_follows_the_slope_along_its_direction(seed: int) -> None:
    matrix, model = bowl(seed)
    start = model.weights
    training = training_of(model, lr=0.01, mu=1e-3)
    submission = ZerothOrderSGD()
    training.optimizer, _ = submission.configure(model, VIEW, training.hp)
    training.optimizer.param_groups[0]["lr"] = 0.01
    submission.update(training, nothing())
    moved = model.weights - start
    random = torch.Generator().manual_seed(VIEW.seed)
    parts = [torch.empty_like(p).normal_(generator=random).flatten() for p in model.parts]
    direction = torch.cat(parts).double().numpy()
    slope = direction @ matrix @ start  # central differences are exact on a quadratic
    np.testing.assert_allclose(moved, -0.01 * slope * direction, rtol=1e-6)


def test_el2n_of_classes_is_the_norm_of_the_error() -> None:
    logits, targets = vectors(0, 4, 3, 5), np.array([[0, 1, 2], [3, 4, PADDING], [1, PADDING, PADDING], [2, 2, 2]])
    batch = Batch((), torch.from_numpy(targets), torch.arange(4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = [
        np.mean([np.linalg.norm(p - np.eye(5)[t]) for p, t in zip(ps, ts, strict=True) if t != PADDING])
        for ps, ts in zip(probabilities, targets, strict=True)
    ]
    np.testing.assert_allclose(_error(torch.from_numpy(logits), batch), expected, rtol=1e-9)
    first = Batch((), torch.from_numpy(targets[:, 0]), torch.arange(4))
    single = [np.linalg.norm(p - np.eye(5)[t]) for p, t in zip(probabilities[:, 0], targets[:, 0], strict=True)]
    np.testing.assert_allclose(_error(torch.from_numpy(logits[:, 0]), first), single, rtol=1e-9)


def test_el2n_of_labels_leaves_out_what_is_missing() -> None:
    logits = vectors(1, 3, 4)
    targets = np.array([[0, 1, np.nan, 1], [1, 1, 0, 0], [np.nan, np.nan, 0, 1]])
    errors = (1 / (1 + np.exp(-logits)) - targets) ** 2
    found = _error(torch.from_numpy(logits), Batch((), torch.from_numpy(targets), torch.arange(3)))
    np.testing.assert_allclose(found, np.sqrt(np.nanmean(errors, axis=1)), rtol=1e-9)


class _Given(nn.Module):
    """A model whose gradient in its weights is the batch's own numbers [parameters]."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.weights @ gradient


@pytest.mark.parametrize("eta", [0.2, 3.0])
def test_adadagrad_grows_its_batch_by_the_norm_test(eta: float) -> None:
    model = _Given()
    training = training_of(model, lr=0.1, eta=eta, start=1.0, warmup=0.1)
    submission = AdAdaGrad()
    training.adopt(submission.configure(model, VIEW, training.hp))
    gradients = vectors(5, 4, 3) + 1.0
    two = torch.arange(2)
    submission.parts = [Batch((torch.from_numpy(g),), torch.zeros(2), two) for g in gradients]
    submission.update(training, submission.parts[0])
    np.testing.assert_allclose(model.weights.grad, gradients.mean(axis=0))
    of_examples = 2 * gradients.var(axis=0, ddof=1).sum()
    needed = np.ceil(of_examples / (eta**2 * (gradients.mean(axis=0) ** 2).sum()))
    assert submission.size == max(8, min(needed, 8 * VIEW.batch_size))
    assert (submission.size > 8) == (eta == 0.2)
    assert submission.examples == 8


def test_sgd_sai_scales_by_the_first_gradient() -> None:
    matrix, vector, still = (nn.Parameter(torch.zeros(shape)) for shape in ((4, 6), (9,), (5,)))
    optimizer = torch.optim.SGD([matrix, vector, still], lr=1.0)
    for parameter, seed in ((matrix, 0), (vector, 1)):
        parameter.grad = torch.tensor(vectors(seed, *parameter.shape), dtype=torch.float32)
    still.grad = torch.zeros(5)
    _scale_once(optimizer)
    for parameter in (matrix, vector):
        gradient = parameter.grad.double().numpy()
        expected = np.linalg.norm(gradient) / gradient.std()
        assert float(optimizer.state[parameter]["gsnr"]) == pytest.approx(expected, rel=1e-5)
    assert float(optimizer.state[still]["gsnr"]) == pytest.approx(np.sqrt(5))

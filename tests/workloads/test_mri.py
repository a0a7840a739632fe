"""Reconstruction of magnetic resonance images: the data, the similarity, and the network."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.mri import CENTRE, MRI, SIZE, _columns, _rotation, _scan
from workloads.metrics import evaluate
from workloads.mri_unet import BASE, MINI, SMOKE, VARIANTS, WORKLOADS, instance_norm
from workloads.ssim import SSIM, ssim

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other cost more than they bring where a machine is shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Returns(nn.Module):
    """A model that gives its input back, times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return images * self.factor


def reference(image: np.ndarray, truth: np.ndarray) -> float:
    return structural_similarity(truth, image, data_range=truth.max())


def test_no_volume_is_in_two_splits(cache):
    folder = MRI.prepare(cache)
    volumes = [set(open_split(folder, split)["volume"].tolist()) for split in SPLITS]
    assert volumes == [{0, 1}, {2}, {3}]


def test_slices_are_whole_and_none_is_there_twice(cache):
    folder = MRI.prepare(cache)
    splits = [open_split(folder, split) for split in SPLITS]
    assert [len(arrays["volume"]) for arrays in splits] == [6000, 480, 720]
    images = [row.tobytes() for arrays in splits for row in arrays["image"]]
    assert len(images) == len(set(images))
    for arrays in splits:
        assert arrays["scan"].shape == arrays["image"].shape == (len(arrays["volume"]), SIZE, SIZE)
        highest = np.maximum(arrays["scan"].max(axis=(1, 2)), arrays["image"].max(axis=(1, 2)))
        assert set(highest.tolist()) == {255}
        margin = (SIZE - CENTRE) // 2
        middle = arrays["image"][:, margin:-margin, margin:-margin]
        assert (middle > 0.1 * arrays["image"].max(axis=(1, 2), keepdims=True) - 1).mean(axis=(1, 2)).min() > 0.39


def test_a_scan_shows_its_own_slice(cache):
    arrays = open_split(MRI.prepare(cache), "validation", 100)
    scans, images = (arrays[name].reshape(100, -1).astype(float) for name in ("scan", "image"))
    own = np.array([np.corrcoef(pair)[0, 1] for pair in zip(scans, images, strict=True)])
    others = np.array([np.corrcoef(pair)[0, 1] for pair in zip(scans, np.roll(images, 1, axis=0), strict=True)])
    assert (own > others).mean() > 0.95
    assert 0.5 < own.mean() < 0.97


def test_a_quarter_of_the_columns_is_kept_and_all_central_ones():
    random = np.random.RandomState(0)
    kept = np.array([_columns(SIZE, random) for _ in range(500)])
    assert kept[:, 44:52].all()  # 8 % of 96, around column 48, where the transform has its mean
    assert kept.mean() == pytest.approx(0.25, abs=0.01)
    assert kept[:, :44].mean() == pytest.approx(kept[:, 52:].mean(), abs=0.02)
    assert len({row.tobytes() for row in kept}) == 500


def test_a_scan_loses_detail_across_columns_only():
    """An image that changes from row to row only lies in the one column that is always kept."""
    rows = np.broadcast_to(np.random.RandomState(1).random_sample((SIZE, 1)), (SIZE, SIZE))
    random = np.random.RandomState(2)
    assert np.abs(_scan(rows, random) - rows).mean() < 0.02
    assert np.abs(_scan(rows.T, random) - rows.T).mean() > 0.1


def test_rotations_are_rotations():
    random = np.random.RandomState(3)
    matrices = np.array([_rotation(random) for _ in range(300)])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (300, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    assert np.abs(matrices.mean(axis=0)).max() < 0.15


@pytest.mark.parametrize("shape", [(7, 7), (20, 33), (64, 64)])
def test_similarity_is_that_of_scikit_image_on_noise(shape):
    random = np.random.RandomState(4)
    truth = random.random_sample((5, *shape)) * 7
    image = truth + random.standard_normal(truth.shape) * np.array([0, 0.1, 1, 3, 10])[:, None, None]
    expected = [reference(*pair) for pair in zip(image, truth, strict=True)]
    found = ssim(torch.from_numpy(image), torch.from_numpy(truth))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)
    assert found[0] == 1


@pytest.mark.parametrize("workload", [MINI, BASE], ids=lambda workload: workload.suite)
def test_similarity_is_that_of_scikit_image_on_slices(cache, workload):
    """In single precision, and on the grey values as stored: the scale does not matter."""
    arrays = open_split(MRI.prepare(cache), "validation", 30)
    part = slice(16, 80) if workload is MINI else slice(None)
    scans, images = (arrays[name][:, part, part].astype(float) for name in ("scan", "image"))
    expected = np.mean([reference(*pair) for pair in zip(scans, images, strict=True)])
    found = evaluate(workload, Returns(), arrays, CPU).value
    assert found == pytest.approx(expected, abs=1e-5)
    assert 0.3 < found < 0.6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_pixel_spoils_the_score(cache, bad):
    arrays = open_split(MRI.prepare(cache), "validation", 3)
    batch = MINI.collate(arrays, np.arange(3))
    outputs = batch.targets.clone()
    assert SSIM.reduce(SSIM.rows(nn.Identity(), replace(batch, inputs=(outputs,)))) == 1
    outputs[1, 0, 63] = bad
    assert not math.isfinite(SSIM.reduce(SSIM.rows(nn.Identity(), replace(batch, inputs=(outputs,)))))
    assert evaluate(MINI, Returns(bad), arrays, CPU).value is None


def test_a_batch_is_scaled_by_the_scan_alone(cache):
    arrays = open_split(MRI.prepare(cache), "train", 20)
    batch = MINI.collate(arrays, np.array([3, 11]))
    (scans,) = batch.inputs
    assert scans.shape == batch.targets.shape == (2, CENTRE, CENTRE)
    assert scans.dtype == batch.targets.dtype == torch.float32
    torch.testing.assert_close(scans.square().mean(dim=(1, 2)), torch.ones(2))
    stored = torch.from_numpy(arrays["image"][[3, 11], 16:80, 16:80]).float()
    ratio = stored.sum(dim=(1, 2)) / batch.targets.sum(dim=(1, 2))
    torch.testing.assert_close(batch.targets * ratio[:, None, None], stored)
    assert len(MINI.collate(arrays, np.arange(0))) == 0


def test_instance_norm_is_that_of_torch():
    images = torch.randn(3, 8, 10, 12)
    torch.testing.assert_close(instance_norm(8)(images), nn.InstanceNorm2d(8, affine=True)(images))


@pytest.mark.parametrize("variant", ["", *VARIANTS])
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.suite)
def test_an_image_does_not_depend_on_its_batch(cache, workload, variant):
    torch.manual_seed(0)
    model = workload.model(**VARIANTS.get(variant, {})).eval()
    arrays = open_split(MRI.prepare(cache), "train", 4)
    with torch.inference_mode():
        (many,) = workload.collate(arrays, np.arange(4)).inputs
        outputs = model(many)
        assert outputs.shape == many.shape
        torch.testing.assert_close(model(many[2:3]), outputs[2:3], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.suite)
def test_every_pixel_can_reach_the_middle_and_every_parameter_learns(cache, workload):
    torch.manual_seed(0)
    model = workload.model()
    batch = workload.collate(open_split(MRI.prepare(cache), "train", 2), np.arange(2))
    images = batch.inputs[0].clone().requires_grad_()
    workload.loss(model(images), batch).mean().backward()
    assert images.grad.abs().sum(dim=(1, 2)).gt(0).all()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert set(workload.heads) < dict(model.named_parameters()).keys()


def test_base_takes_a_step_and_is_judged(cache):
    torch.manual_seed(0)
    model = BASE.model()
    arrays = open_split(MRI.prepare(cache), "train", 2)
    batch = BASE.collate(arrays, np.arange(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = BASE.loss(model(*batch.inputs), batch).mean()
    before.backward()
    optimizer.step()
    with torch.inference_mode():
        assert BASE.loss(model(*batch.inputs), batch).mean() < before
    assert 0 < evaluate(BASE, model, arrays, CPU).value < 1


def test_a_little_training_beats_the_scan(cache):
    """Sixty steps of the smallest scale, on slices of a head that was not trained on."""
    folder = MRI.prepare(cache)
    train = open_split(folder, "train", SMOKE.train_examples)
    held_out = open_split(folder, "validation", SMOKE.validation_examples)
    torch.manual_seed(0)
    model = SMOKE.model()
    untrained = evaluate(SMOKE, model, held_out, CPU).value
    optimizer = torch.optim.NAdam(model.parameters(), lr=8e-3, betas=(0.9, 0.99))
    losses = []
    for step in range(SMOKE.step_hint):
        batch = SMOKE.collate(train, np.arange(step * SMOKE.batch_size, (step + 1) * SMOKE.batch_size))
        loss = SMOKE.loss(model(*batch.inputs), batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    trained = evaluate(SMOKE, model, held_out, CPU).value
    assert untrained + 0.1 < trained < 0.8

"""What the satellite images promise about their content, and the Vision Transformer about its outputs."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from workloads import satellite_vit
from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.satellite import _BLOCK, CLIMATES, SATELLITE, SIZE, _split, _squares, _turned
from workloads.metrics import evaluate
from workloads.satellite_vit import BASE, MINI, SMOKE, VARIANTS


def test_no_block_is_in_two_splits_and_every_climate_is_in_each(cache):
    arrays = {split: open_split(SATELLITE.prepare(cache), split) for split in SPLITS}
    blocks = [set(each["block"].tolist()) for each in arrays.values()]
    assert [len(each) for each in blocks] == [1335, 267, 267]
    assert len(set.union(*blocks)) == 1335 + 267 + 267
    assert [len(each["label"]) for each in arrays.values()] == [78_456, 1937, 1976]
    for each in arrays.values():
        assert each["image"].shape[1:] == (3, SIZE, SIZE)
        assert np.bincount(each["label"], minlength=len(CLIMATES)).min() >= 10
        assert each["label"].max() == len(CLIMATES) - 1


def test_no_image_is_in_two_splits(cache):
    folder = SATELLITE.prepare(cache)
    images = [{row.tobytes() for row in open_split(folder, split)["image"]} for split in SPLITS]
    assert len(set.union(*images)) == sum(map(len, images))


def test_rain_forest_is_green_and_desert_is_bright(cache):
    arrays = open_split(SATELLITE.prepare(cache), "validation")
    names = list(CLIMATES)
    forest = arrays["image"][arrays["label"] == names.index("Af")].mean(axis=(0, 2, 3))
    desert = arrays["image"][arrays["label"] == names.index("BWh")].mean(axis=(0, 2, 3))
    assert forest.argmax() == 1
    assert desert.min() > 1.5 * forest.max()


def test_squares_are_pure_and_within_their_blocks():
    climate = np.full((96, 128), 32)
    climate[:, :64] = 1
    climate[:, 64:90] = 2
    climate[:32, :32] = 30  # an ice cap
    top, left, label = _squares(climate)
    assert (top % _BLOCK + SIZE <= _BLOCK).all()
    assert (left % _BLOCK + SIZE <= _BLOCK).all()
    found = {tuple(map(int, corner)): int(n) for *corner, n in zip(top, left, label, strict=True)}
    assert found.get((32, 0)) == 0
    assert found.get((0, 64)) == 1
    assert (0, 0) not in found
    for y, x in found:
        area = np.bincount(climate[y : y + SIZE, x : x + SIZE].ravel())
        assert area.max() > 0.9 * SIZE**2
        assert area.argmax() == list(CLIMATES.values())[found[y, x]]
    # Nine squares in each of five blocks of climate 1, six in three of climate 2 (less by the ocean).
    assert len(found) == 5 * 9 + 3 * 6


def test_blocks_are_dealt_whole_and_climate_by_climate():
    block = np.repeat(np.arange(140), 3)
    split = _split(block, block // 70)
    assert (split.reshape(140, 3) == split[::3, None]).all()
    for half in (split[:210], split[210:]):
        assert (np.bincount(half) // 3).tolist() == [50, 10, 10]


def test_the_eight_ways_differ():
    image = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    turned = _turned(image)
    assert (turned[:2] == image).all()
    ways = {row.tobytes() for row in turned[::2]}
    assert ways == {
        np.ascontiguousarray(np.rot90(start, turns, axes=(1, 2))).tobytes()
        for start in (image[0], image[0, :, :, ::-1])
        for turns in range(4)
    }


def test_tokens_are_the_patches_of_the_image():
    model = SMOKE.model()
    side = SIZE // model.patch
    image = torch.randn(1, 3, SIZE, SIZE)
    seen = []
    model.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(image)
    patch = image[0, :, model.patch : 2 * model.patch, : model.patch].flatten()
    assert torch.equal(seen[0][0, side], patch)


@pytest.mark.parametrize("settings", [{}, *VARIANTS.values()], ids=["standard", *VARIANTS])
def test_attention_is_the_plain_formula(settings):
    torch.manual_seed(0)
    attention = MINI.model(**settings).blocks[0].attention.double()
    x = torch.randn(2, 5, 48, dtype=torch.float64)
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    parts = []
    for head in range(3):
        cut = slice(16 * head, 16 * head + 16)
        scores = q[..., cut] @ k[..., cut].mT / (4 * settings.get("temperature", 1.0))
        parts.append(scores.softmax(dim=-1) @ v[..., cut])
    torch.testing.assert_close(attention(x), attention.out(torch.cat(parts, dim=-1)))


@pytest.mark.parametrize("settings", [{}, *VARIANTS.values()], ids=["standard", *VARIANTS])
def test_an_image_has_the_same_output_in_any_batch(settings):
    torch.manual_seed(0)
    model = MINI.model(**settings).eval()
    images = torch.randn(5, 3, SIZE, SIZE)
    torch.testing.assert_close(model(images)[3:4], model(images[3:4]))
    assert not torch.allclose(model(images)[3], model(images.flip(3))[3])  # positions count


def test_variants_change_the_model_but_hardly_its_size():
    torch.manual_seed(0)
    images = torch.randn(2, 3, SIZE, SIZE)
    sizes, outputs = [], []
    for settings in ({}, *VARIANTS.values()):
        torch.manual_seed(1)
        model = MINI.model(**settings)
        sizes.append(sum(parameter.numel() for parameter in model.parameters()))
        outputs.append(model(images))
    assert max(sizes) < 1.02 * min(sizes)
    assert all(not torch.allclose(outputs[0], other) for other in outputs[1:])


def test_error_rate_is_that_of_scikit_learn(cache):
    arrays = open_split(SATELLITE.prepare(cache), "validation", 150)
    torch.manual_seed(0)
    model = SMOKE.model().eval()
    value = evaluate(SMOKE, model, arrays, torch.device("cpu")).value
    batch = satellite_vit.collate(arrays, np.arange(150))
    with torch.no_grad():
        guesses = model(*batch.inputs).argmax(dim=1)
    assert (value if isinstance(value, float) else value[0]) == pytest.approx(
        1 - accuracy_score(batch.targets, guesses)
    )


def test_base_can_be_trained_and_evaluated(cache):
    arrays = open_split(SATELLITE.prepare(cache), "train", 2)
    torch.manual_seed(0)
    model = BASE.model()
    batch = BASE.collate(arrays, np.arange(2))
    BASE.loss(model(*batch.inputs), batch).mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert evaluate(BASE, model, arrays, torch.device("cpu")).value is not None

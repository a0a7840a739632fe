"""Settings of the models: the variants differ as they say, and without settings nothing has changed."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from workloads.attention import Attention
from workloads.datasets.base import open_split
from workloads.flights_dlrm import DLRM
from workloads.metrics import evaluate
from workloads.mnist_mlp import MLP
from workloads.mnist_resnet import ResNet
from workloads.registry import find, variants
from workloads.shakespeare_gpt import GPT

NAMES = ("flights_dlrm", "mnist_mlp", "mnist_resnet", "shakespeare_gpt")
EVERY = [pytest.param(workload, id=workload.name) for workload in variants("smoke") if workload.variant_of in NAMES]


def built(workload, cache, count=32):
    """The workload's model at seed 0, and a batch of the first training examples."""
    arrays = open_split(workload.dataset.prepare(cache), "train", count)
    torch.manual_seed(0)
    return workload.model(), workload.collate(arrays, np.arange(count))


def losses(workload, cache, steps):
    """Of NAdam at rate 1e-3, always on the same batch."""
    model, batch = built(workload, cache)
    optimizer = torch.optim.NAdam(model.parameters(), lr=1e-3)
    found = []
    for _ in range(steps):
        loss = workload.loss(model(*batch.inputs), batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(
    ("scale", "name", "expected"),
    [
        ("smoke", "flights_dlrm", [0.7042214870452881, 0.7011798620223999, 0.6988686919212341]),
        ("smoke", "mnist_mlp", [2.3150041103363037, 2.164466619491577, 2.0587947368621826]),
        ("smoke", "mnist_resnet", [2.3788437843322754, 2.3387832641601562, 2.311582088470459]),
        ("smoke", "shakespeare_gpt", [5.06905460357666, 4.914486408233643, 4.802168846130371]),
        ("mini", "flights_dlrm", [0.6820141673088074, 0.6599929928779602, 0.641438364982605]),
        ("mini", "mnist_resnet", [2.4032909870147705, 2.320777416229248, 2.262737512588501]),
        ("mini", "shakespeare_gpt", [5.034775733947754, 4.2684736251831055, 3.9891421794891357]),
    ],
)
def test_the_models_are_those_that_the_targets_were_set_for(scale, name, expected, cache):
    """Numbers of the first version of these models, before they had settings."""
    assert losses(find(scale, name), cache, 3) == pytest.approx(expected, rel=1e-5)


def test_each_of_these_workloads_has_two_or_three_variants():
    for scale, names in (("smoke", NAMES), ("mini", ("flights_dlrm", "mnist_resnet", "shakespeare_gpt"))):
        counts = [sum(workload.variant_of == name for workload in variants(scale)) for name in names]
        assert set(counts) <= {2, 3}


@pytest.mark.parametrize("workload", EVERY)
def test_a_variant_is_another_model_and_learns(workload, cache):
    plain = find("smoke", workload.variant_of)
    assert workload.definition() != plain.definition()
    (model, batch), (other, _) = built(workload, cache), built(plain, cache)
    with torch.no_grad():
        assert not torch.allclose(model(*batch.inputs), other(*batch.inputs), rtol=1e-2, atol=1e-2)
    found = losses(workload, cache, 12)
    assert found[-1] < 0.97 * found[0]


@pytest.mark.parametrize("workload", EVERY)
def test_every_parameter_of_a_variant_is_trained(workload, cache):
    model, batch = built(workload, cache, 8)
    workload.loss(model(*batch.inputs), batch).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_activations_are_replaced_everywhere():
    for activation in (nn.SiLU, nn.GELU):
        for model in (ResNet((4, 8), 1, 3, 1, activation=activation), MLP(activation=activation)):
            assert any(isinstance(module, activation) for module in model.modules())
            assert not any(isinstance(module, nn.ReLU) for module in model.modules())


def test_large_branches_start_with_a_large_scale_and_nothing_else_does():
    model = ResNet((4, 8), 2, 3, 1, branch_scale=8.0)
    scales = {name: weight for name, weight in model.named_parameters() if weight.ndim == 1}
    branches = {name for name, weight in scales.items() if (weight == 8).all()}
    assert branches == {f"blocks.{block}.norm2.weight" for block in range(4)}


def test_variants_of_the_recommender():
    sizes = {"dense": 3, "tables": (4, 900), "width": 8, "bottom": (6,), "top": (5, 5)}
    for part in (DLRM(**sizes, layer_norm=True).bottom, DLRM(**sizes, layer_norm=True).top):
        assert [type(module) for module in part] == [nn.Linear, nn.LayerNorm, nn.ReLU] * 2
    plain, large = DLRM(**sizes), DLRM(**sizes, embedding_bound=0.25)
    assert plain.embedding.weight[4:].abs().max() <= 1 / 30
    assert 0.24 < large.embedding.weight[4:].abs().max() <= 0.25


def test_attention_is_the_plain_formula_at_its_temperature():
    torch.manual_seed(0)
    attention, x = Attention(8, 2, temperature=0.25, bias=False, causal=True), torch.randn(3, 5, 8)
    q, k, v = (part.view(3, 5, 2, 4).transpose(1, 2) for part in attention.qkv(x).split(8, dim=-1))
    later = torch.ones(5, 5).triu(1).bool()
    scores = (q @ k.transpose(2, 3) / math.sqrt(4) / 0.25).masked_fill(later, -math.inf)
    mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x), functional.linear(mixed, attention.out.weight))


def test_after_a_block_with_the_norm_last_every_position_is_normalised():
    torch.manual_seed(0)
    model = GPT(length=6, width=16, layers=2, heads=2, norm_first=False)
    out = model.blocks(5 * torch.randn(3, 6, 16))
    torch.testing.assert_close(out.mean(dim=-1), torch.zeros(3, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim=-1, unbiased=False), torch.ones(3, 6), atol=1e-3, rtol=0)
    assert "norm.weight" not in dict(model.named_parameters())


@pytest.mark.parametrize("settings", [{}, {"norm_first": False}, {"temperature": 0.25}])
def test_no_token_is_predicted_from_itself_or_later_ones(settings):
    torch.manual_seed(0)
    model = GPT(length=6, width=16, layers=2, heads=2, vocabulary=11, **settings)
    tokens = torch.randint(11, (2, 6))
    changed = tokens.clone()
    changed[:, 4:] = (tokens[:, 4:] + 1) % 11
    before, after = model(tokens), model(changed)
    assert before.shape == (2, 6, 11)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_the_large_language_model_trains_on_source_code(cache):
    workload = find("base", "shakespeare_gpt")
    folder = workload.dataset.prepare(cache)
    torch.manual_seed(0)
    model = workload.model()
    assert model.head.weight.shape == (96, 512)
    batch = workload.collate(open_split(folder, "train", 2), np.arange(2))
    loss = workload.loss(model(*batch.inputs), batch).mean()
    loss.backward()
    assert loss.item() == pytest.approx(math.log(96), abs=1.0)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    value = evaluate(workload, model, open_split(folder, "validation", 2), torch.device("cpu")).value
    assert value == pytest.approx(math.log(96), abs=1.0)

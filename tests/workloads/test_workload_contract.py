"""The law for every registered workload: a new file in `workloads/` is under test the moment it exists."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from workloads.base import LossKind, Workload
from workloads.datasets.base import SPLITS, open_split
from workloads.metrics import evaluate
from workloads.registry import suite, suites
from workloads.roles import Role, parameter_roles

EVERY = [pytest.param(workload, id=f"{scale}/{workload.name}") for scale in suites() for workload in suite(scale)]
SMALL = [pytest.param(workload, id=f"{s}/{workload.name}") for s in ("smoke", "mini") for workload in suite(s)]
SMOKE = [pytest.param(workload, id=workload.name) for workload in suite("smoke")]
CPU = torch.device("cpu")


def some(workload: Workload, cache, count: int = 4):
    """The first examples of the training split."""
    arrays = open_split(workload.dataset.prepare(cache), "train", count)
    return workload.collate(arrays, np.arange(count))


@pytest.mark.parametrize("workload", SMALL)
def test_splits_have_the_rows_that_the_workload_asks_for(workload, cache):
    folder = workload.dataset.prepare(cache)
    for split in SPLITS:
        wanted = getattr(workload, f"{split}_examples")
        counts = {len(array) for array in open_split(folder, split, wanted).values()}
        assert len(counts) == 1
        assert counts == {wanted} or wanted is None
    assert workload.batch_size <= (workload.train_examples or np.inf)


@pytest.mark.parametrize("workload", SMOKE)
def test_no_example_is_in_two_splits(workload, cache):
    """Compared whole: the bytes of each example's inputs as the model gets them."""
    folder = workload.dataset.prepare(cache)
    limit = 2000 if workload.dataset.name == "flights" else None  # flights have no wide rows to confuse
    seen: dict[bytes, str] = {}
    for split in SPLITS:
        arrays = open_split(folder, split, limit)
        widest = max(arrays.values(), key=lambda array: array[0].nbytes)
        for row in np.ascontiguousarray(widest):
            assert seen.setdefault(row.tobytes(), split) == split


@pytest.mark.parametrize("workload", SMALL)
def test_batches_have_their_shapes(workload, cache):
    arrays = open_split(workload.dataset.prepare(cache), "train", 100)
    index = np.array([3, 99, 3, 0])
    batch = workload.collate(arrays, index)
    assert len(batch) == 4
    assert batch.index.tolist() == index.tolist()
    assert batch.index.dtype == torch.int64
    for tensor in (*batch.inputs, batch.targets):
        assert len(tensor) == 4
        assert torch.equal(tensor[0], tensor[2])
        assert tensor.isfinite().all()
    empty = workload.collate(arrays, index[:0])
    assert len(empty) == 0


@pytest.mark.parametrize("workload", SMALL)
def test_loss_is_the_plain_formula_and_reaches_every_parameter(workload, cache):
    torch.manual_seed(0)
    model = workload.model()
    batch = some(workload, cache, 8)
    outputs = model(*batch.inputs)
    for smoothing in (0.0, 0.1):
        terms = workload.loss(outputs, batch, label_smoothing=smoothing)
        assert terms.summed.shape == terms.units.shape == (8,)
        assert not terms.units.requires_grad
        if workload.loss_kind is LossKind.CROSS_ENTROPY:
            flat = outputs.flatten(0, -2)
            plain = functional.cross_entropy(flat, batch.targets.flatten(), label_smoothing=smoothing)
        else:
            targets = batch.targets * (1 - smoothing) + smoothing / 2
            plain = functional.binary_cross_entropy_with_logits(outputs, targets)
        torch.testing.assert_close(terms.mean(), plain)
    workload.loss(outputs, batch).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("workload", SMOKE)
def test_some_steps_of_plain_gradient_descent_lower_the_loss(workload, cache):
    torch.manual_seed(0)
    model = workload.model()
    batch = some(workload, cache, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = workload.loss(model(*batch.inputs), batch).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("workload", EVERY)
def test_every_parameter_has_one_role(workload):
    with torch.device("meta"):
        model = workload.model()
    roles = parameter_roles(model, workload.heads)
    assert list(roles) == [name for name, _ in model.named_parameters()]
    assert {name for name, role in roles.items() if role is Role.HEAD} == set(workload.heads) != set()


@pytest.mark.parametrize("workload", SMALL)
def test_evaluation_counts_each_example_once(workload, cache):
    """Ragged batches, one example at a time and all at once give the same number, in evaluation mode."""
    torch.manual_seed(0)
    model = workload.model()
    arrays = open_split(workload.dataset.prepare(cache), "validation", 23)
    values = [evaluate(replace(workload, eval_batch_size=size), model, arrays, CPU) for size in (5, 23, 100)]
    assert model.training
    batch = workload.collate(arrays, np.arange(23))
    with torch.no_grad():
        outputs = model.eval()(*batch.inputs)
    if workload.metric.name == "error_rate":
        plain = (outputs.argmax(1) != batch.targets).double().mean().item()
    else:
        plain = workload.loss(outputs, batch).mean().item()
    assert values == pytest.approx([plain] * 3, rel=1e-5)


@pytest.mark.parametrize("workload", SMALL)
def test_a_model_with_a_nan_has_no_value(workload, cache):
    model = workload.model()
    with torch.no_grad():
        dict(model.named_parameters())[workload.heads[0]].fill_(float("nan"))
    arrays = open_split(workload.dataset.prepare(cache), "validation", 8)
    assert evaluate(workload, model, arrays, CPU) is None
    assert not replace(workload, target=1e9).reaches(None)


@pytest.mark.parametrize("workload", SMALL)
def test_the_seed_decides_the_weights(workload):
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return workload.model().state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("workload", SMALL)
def test_evaluation_leaves_the_model_as_it_was(workload, cache):
    torch.manual_seed(0)
    model = workload.model()
    frozen = next(module for module in model.modules() if not list(module.children()))
    frozen.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(workload, model, open_split(workload.dataset.prepare(cache), "validation", 8), CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training is (module is not frozen) for module in model.modules())


@pytest.mark.parametrize("workload", EVERY)
def test_any_change_changes_the_definition(workload):
    changes = {int: 7777, str: "other", tuple: ("other",), type(None): 7777}
    changed = [
        replace(workload, **{field.name: changes[type(getattr(workload, field.name))]})
        for field in fields(workload)
        if type(getattr(workload, field.name)) in changes and field.name != "target"
    ]
    changed.append(replace(workload, dataset=replace(workload.dataset, version=99)))
    changed.append(replace(workload, dataset=replace(workload.dataset, sha256="0")))
    changed.append(replace(workload, model=nn.Identity))
    changed.append(replace(workload, metric=replace(workload.metric, higher_is_better=True)))
    definitions = {each.definition() for each in changed} | {workload.definition()}
    assert len(definitions) == len(changed) + 1
    assert replace(workload, target=0.5).definition() == workload.definition()


def test_definitions_are_the_same_in_another_process():
    code = "from workloads.registry import *; print(*(w.definition() for s in suites() for w in suite(s)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [w.definition() for s in suites() for w in suite(s)]
    assert len(set(done.stdout.split())) == len(EVERY)

"""The law for every registered workload: a new file in `workloads/` is under test the moment it exists."""

import hashlib
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from workloads.base import PADDING, Batch, LossKind, Workload
from workloads.datasets.base import SPLITS, open_split
from workloads.metrics import evaluate
from workloads.registry import suite, suites, variants
from workloads.roles import Role, parameter_roles


def parameters(*workloads: Workload) -> list:
    return [pytest.param(workload, id=f"{workload.suite}/{workload.name}") for workload in workloads]


SMOKE = parameters(*suite("smoke"), *variants("smoke"))
SMALL = parameters(*suite("smoke"), *suite("mini"))
BASE = parameters(*suite("base"))
EVERY = [each for scale in suites() for each in parameters(*suite(scale), *variants(scale))]
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


@pytest.mark.parametrize(
    "dataset",
    {w.dataset.name: w.dataset for s in suites() for w in suite(s)}.values(),
    ids=lambda dataset: dataset.name,
)
def test_no_example_is_in_two_splits(dataset, cache):
    """Compared whole: the bytes of all arrays of each row."""
    folder = dataset.prepare(cache)
    limit = 2000 if dataset.name == "flights" else None  # flights have no wide rows to confuse
    seen: dict[bytes, str] = {}
    for split in SPLITS:
        arrays = open_split(folder, split, limit)
        assert len(next(iter(open_split(folder, split).values()))) == dataset.examples[split]
        for rows in zip(*(np.ascontiguousarray(array) for array in arrays.values()), strict=True):
            whole = b"".join(row.tobytes() for row in rows)
            assert seen.setdefault(hashlib.sha1(whole).digest(), split) == split


@pytest.mark.parametrize("workload", SMALL)
def test_batches_have_their_shapes_and_an_example_its_outputs(workload, cache):
    arrays = open_split(workload.dataset.prepare(cache), "train", 100)
    index = np.array([3, 99, 3, 0])
    batch = workload.collate(arrays, index)
    assert len(batch) == len(batch.targets) == 4
    assert batch.index.tolist() == index.tolist()
    assert batch.index.dtype == torch.int64
    assert torch.equal(batch.targets[0].nan_to_num(-9), batch.targets[2].nan_to_num(-9))
    if workload.loss_kind is not LossKind.BINARY_CROSS_ENTROPY:  # there, NaN is a missing label
        assert batch.targets.isfinite().all()
    assert all(tensor.isfinite().all() for tensor in batch.inputs)
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = workload.model().eval()(*batch.inputs)
    for output in outputs if isinstance(outputs, tuple) else (outputs,):
        assert len(output) == 4
        torch.testing.assert_close(output[0], output[2])
    empty = workload.collate(arrays, index[:0])
    assert len(empty) == 0


def plain_loss(kind: LossKind, outputs, batch: Batch, smoothing: float) -> torch.Tensor:
    """The mean loss as PyTorch's own functions give it."""
    if kind is LossKind.CROSS_ENTROPY:
        return functional.cross_entropy(
            outputs.flatten(0, -2), batch.targets.flatten(), label_smoothing=smoothing, ignore_index=PADDING
        )
    if kind is LossKind.BINARY_CROSS_ENTROPY:
        known = ~batch.targets.isnan()
        targets = batch.targets[known] * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(outputs[known], targets)
    if kind is LossKind.L1:
        return functional.l1_loss(outputs, batch.targets)
    logits, lengths = outputs
    letters = [row[row != PADDING] for row in batch.targets]
    each = [
        functional.ctc_loss(x[:n].log_softmax(-1), y, n.view(1), torch.tensor([len(y)]), reduction="sum")
        for x, y, n in zip(logits, letters, lengths, strict=True)
    ]
    return torch.stack(each).sum() / sum(map(len, letters))


@pytest.mark.parametrize("workload", [*SMALL, *parameters(*variants("smoke"))])
def test_loss_is_the_plain_formula_and_reaches_every_parameter(workload, cache):
    torch.manual_seed(0)
    model = workload.model()
    batch = some(workload, cache, 8)
    outputs = model(*batch.inputs)
    smooth = workload.loss_kind in (LossKind.CROSS_ENTROPY, LossKind.BINARY_CROSS_ENTROPY)
    for smoothing in (0.0, 0.1) if smooth else (0.0,):
        terms = workload.loss(outputs, batch, label_smoothing=smoothing)
        assert terms.summed.shape == terms.units.shape == (8,)
        assert not terms.units.requires_grad
        plain = plain_loss(workload.loss_kind, outputs, batch, smoothing)
        torch.testing.assert_close(terms.mean(), plain, rtol=1e-4, atol=1e-5)
    workload.loss(outputs, batch).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("workload", SMOKE)
def test_some_steps_of_plain_gradient_descent_lower_the_loss(workload, cache):
    torch.manual_seed(0)
    model = workload.model()
    batch = some(workload, cache, min(64, 2 * workload.batch_size))
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
    found = [evaluate(replace(workload, eval_batch_size=size), model, arrays, CPU) for size in (5, 23, 100)]
    assert model.training
    batch = workload.collate(arrays, np.arange(23))
    for metric in (workload.metric, *workload.extra_metrics):
        with torch.inference_mode():
            plain = metric.reduce(metric.rows(model.eval(), batch).double())
        values = [
            value if metric is workload.metric else extra_metrics[metric.name] for value, extra_metrics in found
        ]
        assert values == pytest.approx([plain] * 3, rel=1e-4)
    if workload.metric.name == "error_rate":
        with torch.no_grad():
            assert (model(*batch.inputs).argmax(1) != batch.targets).double().mean().item() == found[0].value


@pytest.mark.parametrize("workload", BASE)
def test_the_base_scale_takes_a_step_and_an_evaluation(workload, cache):
    torch.manual_seed(0)
    model = workload.model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    folder = workload.dataset.prepare(cache)
    workload.loss(model(*(batch := some(workload, cache, 2)).inputs), batch).mean().backward()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    assert any(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    arrays = open_split(folder, "validation", 24 if workload.metric.name == "mean_average_precision" else 2)
    assert evaluate(workload, model, arrays, CPU).value is not None


@pytest.mark.parametrize("workload", SMALL)
def test_a_model_with_a_nan_has_no_value(workload, cache):
    model = workload.model()
    with torch.no_grad():
        dict(model.named_parameters())[workload.heads[0]].fill_(float("nan"))
    arrays = open_split(workload.dataset.prepare(cache), "validation", 8)
    assert evaluate(workload, model, arrays, CPU).value is None
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
        if type(getattr(workload, field.name)) in changes and field.compare
    ]
    changed.append(replace(workload, dataset=replace(workload.dataset, version=99)))
    changed.append(replace(workload, dataset=replace(workload.dataset, sha256="0")))
    changed.append(replace(workload, model=nn.Identity))
    changed.append(
        replace(workload, metric=replace(workload.metric, higher_is_better=not workload.metric.higher_is_better))
    )
    definitions = {each.definition() for each in changed} | {workload.definition()}
    assert len(definitions) == len(changed) + 1
    assert replace(workload, target=0.5, algoperf=("wmt",)).definition() == workload.definition()


def test_definitions_are_the_same_in_another_process():
    listing = "[w.definition() for s in suites() for w in (*suite(s), *variants(s))]"
    code = f"from workloads.registry import *; print(*{listing})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [w.definition() for s in suites() for w in (*suite(s), *variants(s))]
    assert len(set(done.stdout.split())) == len(EVERY)

"""Number formats, compiled models and memory that runs out: the same for all submissions, and recorded."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.player import devices
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system import machine
from harness.trial import evaluator as judge_module
from harness.trial.evaluator import initial_model
from harness.trial.referee import run_trial
from scoring.records import Outcome, from_json, to_json
from scoring.records.layout import Layout
from submissions.registry import resolve
from workloads import registry
from workloads.base import Precision

CPU = torch.device("cpu")
SMOKE = registry.suite("smoke")


@pytest.mark.parametrize("workload", SMOKE, ids=lambda workload: workload.name)
def test_the_usual_format_is_no_part_of_a_definition(workload: registry.Workload) -> None:
    assert workload.precision is Precision.FP32
    assert workload.definition() == replace(workload, precision=Precision.FP32).definition()
    others = {replace(workload, precision=precision).definition() for precision in Precision}
    assert len(others) == len(Precision)


def test_bfloat16_is_for_products_alone() -> None:
    model = initial_model(registry.find("smoke", "mnist_mlp"), 0)
    images = torch.rand(4, 784)
    exact = model(images)
    devices.lower(model, Precision.FP32, CPU)
    assert torch.equal(model(images), exact)
    devices.lower(model, Precision.BF16, CPU)
    for other in (model, copy.deepcopy(model)):
        low = other(images)
        low.sum().backward()
        assert low.dtype is torch.float32
        assert not torch.equal(low, exact)
        torch.testing.assert_close(low, exact, atol=0.02, rtol=0.02)
        assert all(parameter.grad.dtype is torch.float32 for parameter in other.parameters())
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(RuntimeError):
        model(torch.rand(4, 3))
    assert not torch.is_autocast_enabled("cpu")


def test_outputs_of_several_tensors_keep_their_other_types() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.layer(x), torch.arange(2)

    model = Two()
    devices.lower(model, Precision.BF16, CPU)
    assert [output.dtype for output in model(torch.ones(1, 3))] == [torch.float32, torch.int64]


def test_float32_is_float32_unless_a_workload_says_otherwise() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        devices.set_products(Precision.TF32)
        assert (matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision) == ("tf32", "tf32")
        devices.set_products(Precision.BF16)
        assert (matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision) == ("ieee", "ieee")
    finally:
        matmul.fp32_precision = before


def test_memory_that_runs_out_in_an_evaluation_is_the_outcome(
    order: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object) -> None:
        torch.empty(2**50)

    monkeypatch.setattr(judge_module, "evaluate", greedy)
    record = run_trial(order)
    assert (record.outcome, record.failure.hook, record.failure.kind) == (
        Outcome.ERROR,
        "evaluation",
        "OutOfMemory",
    )
    assert "allocate" in record.failure.message


@pytest.mark.parametrize(
    ("error", "is_that"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_memory_that_runs_out_is_known_by_any_name(error: Exception, is_that: bool) -> None:
    assert devices.ran_out_of_memory(error) == is_that


def test_a_compiled_trial_has_hardware_of_its_own() -> None:
    kinds = [
        machine.hardware(Layout(devices=count, compiled=compiled)) for count in (1, 2) for compiled in (False, True)
    ]
    assert len({kind.fingerprint for kind in kinds}) == 4
    assert kinds[1].device == "1 CPU core, compiled"


def test_a_copy_of_a_compiled_model_computes_with_its_own_weights() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    names = [name for name, _ in model.named_parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda function: function)
        devices.compile_forward(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.zero_()
        other[0].bias.zero_()
    assert other(torch.ones(1, 2)).tolist() == [[0.0, 0.0]]
    assert model(torch.ones(1, 2)).tolist() != [[0.0, 0.0]]
    assert [name for name, _ in model.named_parameters()] == names
    assert isinstance(model, nn.Sequential)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_compiled_trial_follows_one_that_is_not(count: int, order: Trial) -> None:
    order = replace(order, submission=resolve("torch.optim:SGD(lr=0.05)@constant"), layout=Layout(devices=count))
    order = replace(order, ending=EverySteps(every=4, last=8, budget_s=100.0, stop_at_target=False))
    plain, compiled = run_trial(order), run_trial(replace(order, layout=replace(order.layout, compiled=True)))
    assert compiled.outcome is Outcome.COMPLETE, compiled.failure
    expected = [e.train_loss for e in plain.evaluations]
    assert [e.train_loss for e in compiled.evaluations] == pytest.approx(expected, rel=1e-4)
    assert compiled.submission_s < 5  # what it takes to compile is off the clock
    assert from_json(to_json(compiled)).compiled
    assert "compiled" not in to_json(plain)

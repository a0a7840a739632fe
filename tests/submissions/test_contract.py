"""The contract, for every submission of the folder: a new file is tested the moment it exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.trial.referee import run_trial
from scoring.records import Outcome
from submissions.about import about
from submissions.registry import known, load, resolve
from tests.submissions.rig import VIEW, advance, begin
from workloads import registry
from workloads.base import LossKind

WORKLOADS = registry.suite("smoke")
BY_NAME = ["torch.optim:RMSprop", "torch.optim:SGD(lr=0.1, momentum=0.9)@constant", "pytorch_optimizer:AdamP"]
BY_NAME += ["schedulefree:SGDScheduleFree(lr=0.5)@constant", "pytorch_optimizer:AliG(max_lr=0.1)@constant"]
SPECS = [*known(), *BY_NAME]
SLOW_TO_START = {"zo_sgd", "dog", "l_dog"}
"""Those that get nowhere from scratch in a hundred steps, by their nature: a tiny first step, or no gradient."""


@pytest.mark.parametrize("name", SPECS)
def test_both_points_lie_in_the_search_space(name: str, tmp_path: Path) -> None:
    ref = resolve(name)
    submission = load(ref, tmp_path, WORKLOADS[0])
    assert submission.name == name
    assert set(submission.space) <= set(submission.defaults)
    for point in (submission.defaults, {**submission.defaults, **(ref.point or {})}):
        assert set(point) == set(submission.defaults)
        for key, domain in submission.space.items():
            assert point[key] in domain, key


@pytest.mark.parametrize("quantile", [0.0, 1.0])
@pytest.mark.parametrize("name", known())
def test_the_ends_of_the_search_space_are_taken(name: str, quantile: float, cache: Path, tmp_path: Path) -> None:
    workload = registry.find("smoke", "satellite_vit")
    submission, training, batches = begin(name, workload, cache, tmp_path, quantile)
    assert submission.unsuitable(training.workload) is None
    advance(submission, training, batches, 3)


@pytest.mark.parametrize("name", known())
def test_it_says_where_it_comes_from(name: str) -> None:
    said = about(known()[name].read_text())
    assert said.paper
    assert said.variant
    assert said.expects in ("faster", "level", "nothing")
    assert (said.claim is None) == (said.against is None)
    assert said.against is None or said.against in known()
    assert said.claim or name == "sgd"


def pairs() -> Iterator[object]:
    """Every submission on every workload: on three of them, in turn, as a quick test, on the others as a soak."""
    for number, name in enumerate(SPECS):
        quick = {(3 * number + offset) % len(WORKLOADS) for offset in range(3)}
        for place, workload in enumerate(WORKLOADS):
            marks = () if place in quick else pytest.mark.soak
            yield pytest.param(name, workload, marks=marks, id=f"{name}-{workload.name}")


@pytest.mark.parametrize(("name", "workload"), tuple(pairs()))
def test_it_takes_steps_on_every_workload_or_says_why_not(
    name: str, workload: registry.Workload, cache: Path, tmp_path: Path
) -> None:
    submission, training, batches = begin(name, workload, cache, tmp_path)
    reason = submission.unsuitable(training.workload)
    if reason is not None:
        assert reason.endswith(".")
        return
    before = [tensor.clone() for tensor in training.model.parameters()]
    places = [tensor.data_ptr() for tensor in training.model.parameters()]
    assert np.isfinite(advance(submission, training, batches, 4)).all()
    kept = [tensor.clone() for tensor in training.model.parameters()]
    submission.before_eval(training)
    assert all(torch.isfinite(tensor).all() for tensor in training.model.parameters())
    submission.after_eval(training)
    after = list(training.model.parameters())
    assert [tensor.data_ptr() for tensor in after] == places
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for a, b in zip(kept, after, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_it_learns(name: str, order: Trial) -> None:
    order = replace(
        order, submission=resolve(name), ending=EverySteps(every=50, last=100, budget_s=100.0, stop_at_target=False)
    )
    record = run_trial(order)
    if record.outcome is Outcome.UNSUITABLE:
        record = run_trial(replace(order, workload="satellite_vit"))
    assert record.outcome is Outcome.COMPLETE, record.failure
    if name in SLOW_TO_START:
        first, last = record.evaluations
        assert last.train_loss < first.train_loss
    else:  # guessing is at 0.9 and at 0.86
        assert min(e.value for e in record.evaluations) < (0.6 if record.workload == "mnist_mlp" else 0.75)


@pytest.mark.parametrize("ruleset", ["self", "external"])
def test_points_are_drawn_from_the_space_or_are_the_tuned_one(ruleset: str, order: Trial, tmp_path: Path) -> None:
    ref = resolve("nadamw")
    submission = load(ref, tmp_path, WORKLOADS[0])
    record = run_trial(replace(order, ruleset=ruleset, trial=1))
    assert set(record.hp) == set(submission.defaults)
    assert (record.hp == {**submission.defaults, **ref.point}) == (ruleset == "self")
    assert all(record.hp[key] in domain for key, domain in submission.space.items())


@pytest.mark.parametrize("name", ["schedule_free_adamw", "schedule_free_sgd", "dog", "l_dog", "ema", "lawa"])
def test_averages_are_judged_in_place_of_what_trains(name: str, cache: Path, tmp_path: Path) -> None:
    submission, training, batches = begin(name, registry.find("smoke", "mnist_mlp"), cache, tmp_path)
    advance(submission, training, batches, 12)
    before = [p.detach().clone() for p in training.model.parameters()]
    submission.before_eval(training)
    at_evaluation = [p.detach().clone() for p in training.model.parameters()]
    submission.after_eval(training)
    assert not any(torch.equal(a, b) for a, b in zip(before, at_evaluation, strict=True))
    for a, b in zip(before, training.model.parameters(), strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-4, atol=1e-6)


STEPS = """
import torch


class {name}(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {{"lr": lr}})

    @torch.no_grad()
    def step(self{argument}):
        {first}
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad, alpha=group["lr"])
"""


@pytest.mark.parametrize(
    ("argument", "first"), [("", "pass"), (", closure=None", "closure and closure()"), (", closure", "closure()")]
)
def test_a_class_by_name_may_take_a_closure_or_none_and_return_what_it_likes(
    argument: str, first: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"Plain{len(argument)}"
    (tmp_path / f"{name.lower()}.py").write_text(STEPS.format(name=name, argument=argument, first=first))
    monkeypatch.syspath_prepend(tmp_path)
    workload = registry.find("smoke", "mnist_mlp")
    found = begin(f"{name.lower()}:{name}(lr=0.1)@constant", workload, cache, tmp_path)
    expected = begin("torch.optim:SGD(lr=0.1)@constant", workload, cache, tmp_path)
    assert advance(*found, 5) == pytest.approx(advance(*expected, 5), rel=1e-6)


@pytest.mark.parametrize("name", ["label_smoothing", "el2n"])
@pytest.mark.parametrize("kind", LossKind)
def test_what_needs_classes_says_so_where_there_are_none(name: str, kind: LossKind, tmp_path: Path) -> None:
    reason = load(resolve(name), tmp_path, WORKLOADS[0]).unsuitable(replace(VIEW, loss_kind=kind))
    if kind in (LossKind.CROSS_ENTROPY, LossKind.BINARY_CROSS_ENTROPY):
        assert reason is None
    else:
        assert kind in reason


def test_an_unsuitable_workload_is_an_outcome_with_its_reason(order: Trial) -> None:
    record = run_trial(replace(order, submission=resolve("sam_on")))
    assert record.outcome is Outcome.UNSUITABLE
    assert "has none" in record.reason
    assert not record.evaluations
    assert record.failure is None


def test_the_state_beside_the_parameters_is_measured(order: Trial) -> None:
    sizes = {}
    for name in ("sgd", "heavy_ball", "adamw", "ema", "shampoo"):
        record = run_trial(
            replace(
                order,
                submission=resolve(name),
                ending=EverySteps(every=2, last=4, budget_s=10.0, stop_at_target=False),
            )
        )
        sizes[name] = record.state_bytes / record.parameters
    assert sizes.pop("shampoo") > 8  # the momentum, and matrices that its package keeps in objects
    # Four bytes a float; PyTorch keeps a step count a tensor as well, and the average holds no buffers here.
    assert sizes == pytest.approx({"sgd": 0, "heavy_ball": 4, "adamw": 8, "ema": 12}, abs=0.1)

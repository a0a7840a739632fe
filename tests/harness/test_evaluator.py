"""What weights are evaluated on: the validation split to decide, the test split for the value that is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.player.weights import Weights
from harness.protocol import seeds
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.trial.evaluator import Evaluator, initial_model
from harness.trial.referee import run_trial
from scoring.records import Outcome
from submissions.registry import SubmissionRef
from tests.faults.probe import STILL, probe
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import EvalResult, evaluate

WORKLOAD = registry.find("smoke", "mnist_mlp")
CPU = torch.device("cpu")


@pytest.fixture
def folder(cache: Path) -> Path:
    return WORKLOAD.dataset.prepare(cache)


@pytest.fixture
def evaluator(folder: Path) -> Iterator[Evaluator]:
    weights = Weights(initial_model(WORKLOAD, 0), [CPU])
    yield Evaluator.of(WORKLOAD, folder, weights)
    weights.close()


def on(split: str, limit: int | None, folder: Path) -> EvalResult:
    return evaluate(WORKLOAD, initial_model(WORKLOAD, 0), open_split(folder, split, limit), CPU)


def test_validation_is_on_the_validation_split_and_testing_on_the_test_split(
    evaluator: Evaluator, folder: Path
) -> None:
    validation = on("validation", WORKLOAD.validation_examples, folder)
    test = on("test", WORKLOAD.test_examples, folder)
    assert validation.value != test.value
    assert evaluator.validated() == validation
    assert evaluator.tested() == test
    assert evaluator.validated() == validation


def test_each_split_is_as_long_as_the_workload_says(folder: Path) -> None:
    short = replace(WORKLOAD, validation_examples=10, test_examples=20)
    weights = Weights(initial_model(WORKLOAD, 0), [CPU])
    evaluator = Evaluator.of(short, folder, weights)
    assert evaluator.validated() == on("validation", 10, folder)
    assert evaluator.tested() == on("test", 20, folder)
    weights.close()


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> Workload:
    """The workload with a target that any weights meet, as far as the referee knows."""
    workload = replace(WORKLOAD, target=1.0)
    monkeypatch.setattr(Trial, "find_workload", lambda trial: workload)
    return workload


def test_a_record_has_both_values_of_the_weights_at_the_crossing(
    order: Trial, reachable: Workload, folder: Path
) -> None:
    still = SubmissionRef(name="probe", text=probe(update=STILL), filename="probe.py")
    ending = EverySteps(every=2, last=4, budget_s=30.0)
    record = run_trial(replace(order, submission=still, ending=ending))
    assert record.outcome is Outcome.REACHED, record.failure
    model = initial_model(reachable, seeds.init_seed(order.seed, reachable.name, order.study, order.trial))
    validation = open_split(folder, "validation", reachable.validation_examples)
    test = open_split(folder, "test", reachable.test_examples)
    assert [e.value for e in record.evaluations] == [evaluate(reachable, model, validation, CPU).value]
    assert record.test_value == evaluate(reachable, model, test, CPU).value
    assert record.test_value != record.evaluations[-1].value

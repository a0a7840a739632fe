"""The contract, for every submission of the folder: a new file is tested the moment it exists."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.batches import EpochBatches
from harness.plan import Trial
from harness.records import Outcome
from harness.trial import initial_model, run_trial
from submissions.base import Submission, Training, WorkloadView
from submissions.registry import known, load, resolve
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.roles import parameter_roles

WORKLOAD_NAMES = [workload.name for workload in registry.suite("smoke")]
BY_NAME = ["torch.optim:RMSprop", "torch.optim:SGD(lr=0.1, momentum=0.9)@constant", "pytorch_optimizer:AdamP"]
BY_NAME += ["schedulefree:SGDScheduleFree(lr=0.5)@constant"]


@pytest.mark.parametrize("name", [*known(), *BY_NAME])
def test_defaults_lie_in_the_search_space(name: str, tmp_path: Path) -> None:
    submission = load(resolve(name), tmp_path)
    assert submission.name == name
    assert set(submission.space) <= set(submission.defaults)
    for key, domain in submission.space.items():
        assert submission.defaults[key] in domain, key


@pytest.mark.parametrize("workload", WORKLOAD_NAMES)
@pytest.mark.parametrize("name", [*known(), *BY_NAME])
def test_it_trains_every_workload(name: str, workload: str, order: Trial) -> None:
    record = run_trial(replace(order, submission=resolve(name), workload=workload, max_steps=20, evaluate_every=10))
    assert record.outcome is Outcome.COMPLETE, record.failure
    assert all(e.value is not None and e.train_loss is not None for e in record.evaluations)


@pytest.mark.parametrize("name", [*known(), *BY_NAME])
def test_it_learns(name: str, order: Trial) -> None:
    record = run_trial(replace(order, submission=resolve(name), max_steps=200, evaluate_every=100))
    assert record.evaluations[-1].value < 0.5  # ten digits: guessing is at 0.9


@pytest.mark.parametrize("ruleset", ["self", "external"])
def test_points_are_drawn_from_the_space_or_are_the_defaults(ruleset: str, order: Trial, tmp_path: Path) -> None:
    submission = load(resolve("nadamw"), tmp_path)
    record = run_trial(replace(order, ruleset=ruleset, trial=1))
    assert set(record.hp) == set(submission.defaults)
    assert (record.hp == submission.defaults) == (ruleset == "self")
    assert all(record.hp[key] in domain for key, domain in submission.space.items())


@pytest.mark.parametrize("name", [*known(), *BY_NAME])
def test_training_goes_on_from_a_saved_state(name: str, cache: Path, tmp_path: Path) -> None:
    """Steps 6 to 10 after saving and loading equal those of a run without a break, bit for bit."""
    workload = registry.find("smoke", "mnist_mlp")
    arrays = open_split(workload.dataset.prepare(cache), "train", workload.train_examples)

    def begin() -> tuple[Submission, Training]:
        submission = load(resolve(name), tmp_path)
        training = _training(workload, submission)
        made = submission.configure(training.model, training.workload, training.hp)
        training.optimizer, training.schedule = made if isinstance(made, tuple) else (made, None)
        return submission, training

    def advance(submission: Submission, training: Training, batches: EpochBatches, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            losses.append(float(submission.update(training, submission.select(training, batches))))
            training.step += 1
        return losses

    batches = EpochBatches.of(workload, arrays, 0)
    submission, training = begin()
    advance(submission, training, batches, 5)
    saved = copy.deepcopy((submission.state_dict(training), training.model.state_dict()))
    later = copy.deepcopy(batches)
    expected = advance(submission, training, batches, 5)

    submission, training = begin()
    training.model.load_state_dict(saved[1])
    submission.load_state_dict(training, saved[0])
    training.step = 5
    assert advance(submission, training, later, 5) == expected


def _training(workload: Workload, submission: Submission) -> Training:
    model = initial_model(workload, 0)
    view = WorkloadView(
        loss_kind=workload.loss_kind,
        roles=parameter_roles(model, workload.heads),
        train_examples=1000,
        batch_size=workload.batch_size,
        step_hint=workload.step_hint,
        budget_s=1.0,
        target=0.1,
        higher_is_better=False,
        device=torch.device("cpu"),
        seed=0,
    )
    return Training(model, view, SimpleNamespace(**submission.defaults), workload.loss, lambda: 0.0)


def test_evaluation_weights_differ_from_training_weights_for_schedule_free(cache: Path, tmp_path: Path) -> None:
    workload = registry.find("smoke", "mnist_mlp")
    arrays = open_split(workload.dataset.prepare(cache), "train", workload.train_examples)
    submission = load(resolve("schedule_free_adamw"), tmp_path)
    training = _training(workload, submission)
    training.optimizer = submission.configure(training.model, training.workload, training.hp)
    batches = EpochBatches.of(workload, arrays, 0)
    for _ in range(3):
        submission.update(training, submission.select(training, batches))
    before = [p.detach().clone() for p in training.model.parameters()]
    submission.before_eval(training)
    at_evaluation = [p.detach().clone() for p in training.model.parameters()]
    submission.after_eval(training)
    after = list(training.model.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, at_evaluation, strict=True))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b.detach(), rtol=1e-4, atol=1e-6)

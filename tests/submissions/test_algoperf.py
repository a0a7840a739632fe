"""Submissions written for AlgoPerf: found, refused, and run with AlgoPerf's meaning of every call."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.protocol import seeds
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.trial.evaluator import initial_model
from harness.trial.referee import run_trial
from scoring.records import Outcome, Record
from submissions.algoperf.compat.param_utils import param_types
from submissions.algoperf.compat.random_utils import PRNGKey, fold_in, split
from submissions.algoperf.compat.spec import ForwardPassMode, ParameterType
from submissions.algoperf.counterparts import FULL_BATCH, scaled_batch_size
from submissions.algoperf.workload import TrialWorkload, as_dict
from submissions.registry import UnknownSubmissionError, resolve
from submissions.space import Choice, LogUniform, Points, Uniform
from tests.submissions.rig import VIEW, advance, begin
from workloads import losses, registry
from workloads.base import PADDING, Batch, LossKind
from workloads.roles import parameter_roles

STYLE = Path(__file__).parent.parent / "algoperf_style"
FOLDERS = [str(path) for path in sorted(STYLE.iterdir()) if path.name != "for_jax"]
PROBE = """
import torch
from algoperf import spec

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(model_params.parameters(), lr=0.1)}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng, train_state=None):
    UPDATE
    optimizer_state["optimizer"].zero_grad()
    logits, _ = workload.model_fn(
        current_param_container, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    optimizer_state["optimizer"].step()
    return optimizer_state, current_param_container, model_state

def get_batch_size(workload_name):
    return {"mnist": 16}[workload_name]

def data_selection(workload, input_queue, *rest):
    return next(input_queue)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `probe` with a submission that does as AlgoPerf's simplest ones do."""
    place = tmp_path / "probe"
    place.mkdir()
    (place / "submission.py").write_text(PROBE.replace("UPDATE", "pass"))
    return place


@pytest.fixture
def run_folder(order: Trial, folder: Path) -> Callable[..., Record]:
    """Runs the probe with a line put at the top of its update."""

    def run(update: str = "pass", **changes: Any) -> Record:
        (folder / "submission.py").write_text(PROBE.replace("UPDATE", update))
        return run_trial(replace(order, submission=resolve(str(folder)), **changes))

    return run


@pytest.mark.parametrize("workload", registry.suite("smoke"), ids=lambda workload: workload.name)
@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: Path(path).name)
def test_they_take_steps_on_every_workload_or_say_why_not(
    path: str, workload: registry.Workload, cache: Path, tmp_path: Path
) -> None:
    submission, training, batches = begin(path, workload, cache, tmp_path)
    before = [p.detach().clone() for p in training.model.parameters()]
    made = advance(submission, training, batches, 3)
    submission.before_eval(training)
    submission.after_eval(training)
    made += advance(submission, training, batches, 2)
    assert np.isfinite(made).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, training.model.parameters(), strict=True))


@pytest.mark.parametrize("ruleset", ["self", "external"])
@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: Path(path).name)
def test_a_trial_learns_in_either_ruleset(path: str, ruleset: str, order: Trial) -> None:
    record = run_trial(replace(order, submission=resolve(path), ruleset=ruleset))
    assert record.failure is None
    assert record.submission == f"algoperf/{Path(path).name}"
    assert record.evaluations[-1].value < 0.5  # guessing is at 0.9
    assert record.state_bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: Path(path).name)
def test_a_trial_reaches_a_target(path: str, order: Trial) -> None:
    ending = EverySteps(every=50, last=1100, budget_s=300.0)
    mini = replace(order, suite="mini", workload="flights_dlrm", ending=ending)
    assert run_trial(replace(mini, submission=resolve(path))).outcome is Outcome.REACHED


def test_the_player_alone_knows_algoperf() -> None:
    assert importlib.util.find_spec("algoperf") is None
    assert importlib.util.find_spec("algorithmic_efficiency") is None


def test_the_clock_the_evaluations_and_the_key_of_a_step_are_told(run_folder: Callable[..., Record]) -> None:
    line = (
        "assert train_state['accumulated_submission_time'] > 0 and len(eval_results) == global_step // 20;"
        "assert all('validation/error_rate' in r and s % 20 == 0 for s, r in eval_results);"
        "assert rng.shape == (2,); torch.manual_seed(rng[0]); assert hyperparameters is None"
    )
    record = run_folder(line)
    assert record.failure is None
    assert len(record.evaluations) == 3
    refused = run_folder("train_state['accumulated_submission_time'] = 0")
    assert refused.failure.kind == "TypeError"


def test_training_complete_ends_a_trial_well(run_folder: Callable[..., Record]) -> None:
    record = run_folder("if global_step == 33: raise spec.TrainingCompleteError")
    assert record.outcome is Outcome.COMPLETE
    assert record.failure is None
    assert record.evaluations[-1].step == 33


def test_an_error_names_the_line_of_the_submission(run_folder: Callable[..., Record]) -> None:
    record = run_folder("1 / 0")
    assert record.outcome is Outcome.ERROR
    assert (record.failure.file, record.failure.hook) == ("submission.py", "update")


def test_what_prepare_for_eval_returns_is_judged_and_training_goes_on(cache: Path, tmp_path: Path) -> None:
    workload = registry.find("smoke", "satellite_vit")
    submission, training, batches = begin(str(STYLE / "averaged_nadam"), workload, cache, tmp_path)
    advance(submission, training, batches, 8)
    own = [p.detach().clone() for p in training.model.parameters()]
    submission.before_eval(training)
    average = submission._state["average"]
    for shown, mean, mine in zip(training.model.parameters(), average.parameters(), own, strict=True):
        assert torch.equal(shown, mean)
        assert not torch.equal(shown, mine)
    submission.after_eval(training)
    assert all(torch.equal(p, mine) for p, mine in zip(training.model.parameters(), own, strict=True))


def test_a_list_of_points_is_drawn_without_replacement(order: Trial) -> None:
    ref = resolve(str(STYLE / "typed_groups"))
    listed = json.loads(ref.folder.files["tuning_search_space.json"])
    order = replace(order, submission=ref, ruleset="external", ending=replace(order.ending, last=20))
    records = [run_trial(replace(order, trial=trial)) for trial in range(4)]
    rates = [record.hp["learning_rate"] for record in records[:3]]
    assert sorted(rates) == sorted(point["learning_rate"] for point in listed)
    assert records[3].outcome is Outcome.COMPLETE
    assert records[3].evaluations == ()
    assert "3 points" in records[3].reason


def test_another_study_has_another_order() -> None:
    points = Points(tuple({"lr": float(n)} for n in range(5)))
    orders = {tuple(seeds.point(points, study, trial)["lr"] for trial in range(5)) for study in range(5)}
    assert len(orders) > 1
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)


def test_search_spaces_become_domains() -> None:
    space = resolve(str(STYLE / "clipped_adamw")).folder.space
    assert space["learning_rate"] == LogUniform(1e-3, 6e-2)
    assert space["grad_clip"] == Uniform(0.5, 5.0)
    assert space["beta2"] == Choice(0.99, 0.999)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "no points"),
        ('{"lr": {"min": 1}}', "neither feasible_points nor min and max"),
        ('{"lr": {"min": 1, "max": 2, "scaling": "cubic"}}', "cubic"),
        ('{"lr": {"low": 1}}', "low"),
        ('[{"lr": 1}, {"rate": 1}]', "unlike names"),
    ],
)
def test_a_search_space_that_cannot_be_read_is_said(folder: Path, text: str, said: str) -> None:
    (folder / "tuning_search_space.json").write_text(text)
    with pytest.raises(UnknownSubmissionError, match=r"tuning_search_space\.json") as caught:
        resolve(str(folder))
    assert said in str(caught.value)


def test_a_submission_for_jax_is_refused() -> None:
    with pytest.raises(UnknownSubmissionError, match="JAX"):
        resolve(str(STYLE / "for_jax"))


def test_a_missing_function_and_bad_syntax_are_said(folder: Path) -> None:
    path = folder / "submission.py"
    path.write_text(PROBE.replace("def get_batch_size", "def other"))
    with pytest.raises(UnknownSubmissionError, match="lacks get_batch_size"):
        resolve(str(folder))
    path.write_text("import torch\ndef (:")
    with pytest.raises(UnknownSubmissionError, match="line 2"):
        resolve(str(path))


def test_a_folder_of_two_frameworks_means_its_pytorch_one(folder: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(folder, both / "pytorch")
    shutil.copytree(STYLE / "for_jax", both / "jax")
    (both / "tuning_search_space.json").write_text('{"lr": {"feasible_points": [1]}}')
    ref = resolve(str(both))
    assert ref.name == "algoperf/both"
    assert ref.folder.space == {"lr": Choice(1)}


def test_any_file_counts_in_the_hash_and_is_kept(folder: Path) -> None:
    before = resolve(str(folder))
    (folder / "helper.py").write_text("A = 1\n")
    after = resolve(str(folder / "submission.py"))
    assert before.hash != after.hash
    assert "helper.py" in after.source
    assert "A = 1" in after.source


def test_batch_sizes_are_scaled_by_the_baseline() -> None:
    sizes = {"wmt": 64, "mnist": 48}.__getitem__
    assert scaled_batch_size(sizes, ("wmt",), 96, 1000) == 48
    assert scaled_batch_size(sizes, ("mnist",), 96, 1000) == 288
    assert scaled_batch_size(sizes, ("mnist",), 96, 100) == 100
    assert scaled_batch_size(lambda name: 1, ("wmt",), 16, 100) == 1


def test_a_workload_unknown_to_get_batch_size_is_not_run(cache: Path, tmp_path: Path) -> None:
    path = str(STYLE / "typed_groups")
    workload = replace(registry.find("smoke", "mnist_mlp"), algoperf=("finewebedu_lm",))
    submission, training, _ = begin(path, workload, cache, tmp_path)
    assert "finewebedu_lm" in submission.unsuitable(training.workload)
    known = replace(workload, algoperf=("finewebedu_lm", "wmt"))
    submission, training, _ = begin(path, known, cache, tmp_path)
    assert submission.unsuitable(training.workload) is None


def test_every_workload_has_counterparts_whose_baseline_is_known() -> None:
    for suite in registry.suites():
        for workload in registry.suite(suite):
            assert workload.algoperf
            assert set(workload.algoperf) <= set(FULL_BATCH)


def facade(
    kind: LossKind, loss: Callable[..., Any], model: nn.Module, dropout: float | None = None
) -> TrialWorkload:
    return TrialWorkload(model, replace(VIEW, loss_kind=kind, roles=parameter_roles(model)), loss, dropout)


def test_the_loss_is_that_of_torch_with_masks_and_smoothing() -> None:
    torch.manual_seed(0)
    workload = facade(LossKind.CROSS_ENTROPY, losses.cross_entropy, nn.Linear(1, 1))
    logits, targets = torch.randn(4, 5, 7), torch.randint(0, 7, (4, 5))
    targets[1, 3:] = PADDING
    mask = (torch.arange(5) < 4).float().repeat(4, 1)
    valid = (mask == 1) & (targets != PADDING)
    found = workload.loss_fn(targets, logits, mask, label_smoothing=0.1)
    expected = nn.functional.cross_entropy(logits[valid], targets[valid], reduction="sum", label_smoothing=0.1)
    assert found["summed"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["n_valid_examples"] == valid.sum()
    assert found["per_example"].sum().item() == pytest.approx(expected.item(), rel=1e-5)
    assert workload.last_loss.item() == pytest.approx(expected.item() / valid.sum().item(), rel=1e-5)

    weights = torch.tensor([0.0, 0.5, 1.0, 1.0])
    weighed = workload.loss_fn(targets, logits, weights)
    single = [workload.loss_fn(targets[[n]], logits[[n]])["summed"] for n in range(4)]
    expected = sum(w * s for w, s in zip(weights, single, strict=True))
    assert weighed["summed"].item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="mask of shape"):
        workload.loss_fn(targets, logits, 0.5 * mask)


def test_losses_without_classes_take_no_notice_of_smoothing() -> None:
    workload = facade(LossKind.L1, losses.l1, nn.Linear(1, 1))
    a, b = torch.randn(3, 4), torch.randn(3, 4)
    assert workload.loss_fn(a, b, label_smoothing=0.2)["summed"] == workload.loss_fn(a, b)["summed"]


def test_missing_units_have_no_weight_in_the_batch() -> None:
    index = torch.arange(2)
    tokens = as_dict(Batch((torch.zeros(2, 3),), torch.tensor([[1, 2, PADDING], [1, 2, 3]]), index))
    assert tokens["weights"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert isinstance(tokens["inputs"], torch.Tensor)
    labels = as_dict(Batch((torch.zeros(2), torch.zeros(2)), torch.tensor([[1.0, torch.nan], [0.0, 1.0]]), index))
    assert labels["weights"].tolist() == [[1, 0], [1, 1]]
    assert isinstance(labels["inputs"], tuple)
    assert "weights" not in as_dict(Batch((torch.zeros(2),), torch.tensor([1, 2]), index))


def test_modes_dropout_and_batch_norm_mean_what_they_do_in_algoperf() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.Dropout(0.5))
    workload = facade(LossKind.L1, losses.l1, model)
    batch = {"inputs": 3 + torch.randn(32, 4), "targets": torch.zeros(32, 64)}

    def forward(mode: ForwardPassMode = ForwardPassMode.TRAIN, update: bool = True, **more: float) -> torch.Tensor:
        return workload.model_fn(model, batch, None, mode, None, update, **more)[0]

    still = model[1].running_mean.clone()
    out = forward(update=False, dropout_rate=0.0)
    assert torch.equal(model[1].running_mean, still)
    assert out.mean(dim=0).abs().max() < 1e-3  # normalised by its own statistics all the same
    assert (out == 0).float().mean() < 0.01
    assert (forward() == 0).float().mean() == pytest.approx(0.5, abs=0.05)  # the model's own rate again
    assert not torch.equal(model[1].running_mean, still)
    assert out.requires_grad
    judged = forward(ForwardPassMode.EVAL)
    assert not judged.requires_grad
    assert (judged == 0).float().mean() < 0.01
    assert (facade(LossKind.L1, losses.l1, model, dropout=0.9).model_fn(
        model, batch, None, ForwardPassMode.TRAIN, None, True)[0] == 0
    ).float().mean() == pytest.approx(0.9, abs=0.05)  # fmt: skip
    with pytest.raises(RuntimeError, match="init_model_fn"):
        workload.init_model_fn(None)


@pytest.mark.parametrize("suite", ["smoke", "mini", "base"])
def test_parameter_kinds_are_algoperfs(suite: str) -> None:
    seen: set[ParameterType] = set()
    for workload in registry.suite(suite):
        model = initial_model(workload, 0) if suite != "base" else _meta(workload)
        kinds = param_types(model, parameter_roles(model, workload.heads))
        assert kinds.keys() == dict(model.named_parameters()).keys()
        for name, kind in kinds.items():
            owner = model.get_submodule(name.rpartition(".")[0])
            assert (kind.name.startswith("BATCH_NORM")) == isinstance(owner, nn.modules.batchnorm._BatchNorm)
            assert (kind is ParameterType.CONV_WEIGHT) <= isinstance(owner, nn.modules.conv._ConvNd)
        seen |= set(kinds.values())
    if suite != "smoke":
        assert {ParameterType.ATTENTION_QKV, ParameterType.ATTENTION_OUT, ParameterType.EMBEDDING} <= seen
        assert {ParameterType.ATTENTION_Q, ParameterType.ATTENTION_KV, ParameterType.LAYER_NORM_SCALE} <= seen


def _meta(workload: registry.Workload) -> nn.Module:
    with torch.device("meta"):
        return workload.model()


def test_keys_repeat_and_differ() -> None:
    key = PRNGKey(7)
    first, second = split(key)
    assert np.array_equal(split(key)[0], first)
    assert not np.array_equal(first, second)
    assert not np.array_equal(fold_in(key, 1), fold_in(key, 2))
    assert first.dtype == np.int32
    assert (np.stack([first, second, fold_in(key, 3)]) >= 0).all()

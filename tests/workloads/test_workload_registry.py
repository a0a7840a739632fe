"""Finding workloads and their targets."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scoring.records import RecordStore
from workloads import targets
from workloads.registry import DuplicateWorkload, UnknownWorkload, find, grouped, suite, suites, variants
from workloads.targets import StoredTarget, TargetError

ROOT = Path(__file__).parents[2]


def test_the_suites_and_what_is_in_them():
    assert suites() == ("smoke", "mini", "base")
    names = [workload.name for workload in suite("mini")]
    assert names == sorted(names)
    assert {"mnist_resnet", "flights_dlrm", "shakespeare_gpt"} <= set(names)
    assert all(workload.suite == name for name in suites() for workload in suite(name))
    assert find("smoke", "mnist_mlp").batch_size == 16


def test_a_variant_is_the_workload_with_other_settings_of_its_model():
    for name in suites():
        of = {w.variant_of for w in variants(name)}
        assert of == {w.name for w in suite(name)}
        for variant in variants(name):
            base = find(name, variant.variant_of)
            assert find(name, variant.name) == variant
            assert variant.name.startswith(f"{base.name}_")
            assert variant.definition() != base.definition()
            with torch.device("meta"):
                assert type(variant.model()) is type(base.model())
            assert replace(variant, name=base.name, model=base.model, variant_of=None) == base
        counts = [sum(v.variant_of == w.name for v in variants(name)) for w in suite(name)]
        assert min(counts) >= 2


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownWorkload, match=r"'mega'.*smoke, mini, base"):
        suite("mega")
    with pytest.raises(UnknownWorkload, match=r"'mnist_mlp' in suite mini.*mnist_resnet"):
        find("mini", "mnist_mlp")
    assert issubclass(UnknownWorkload, ValueError)


def test_a_name_is_taken_once_in_each_suite():
    workload = find("smoke", "mnist_mlp")
    assert grouped([workload, replace(workload, suite="mini")]).keys() == {"smoke", "mini"}
    with pytest.raises(DuplicateWorkload, match="mnist_mlp in suite smoke"):
        grouped([workload, replace(workload, step_hint=3)])


def test_a_target_holds_for_the_definition_it_was_set_for(tmp_path, monkeypatch):
    folder = tmp_path / "targets"
    monkeypatch.setattr(targets.load, "__defaults__", (folder,))
    workload = find("smoke", "mnist_mlp")
    assert workload.target is None
    target = StoredTarget(
        target=0.125, definition=workload.definition(), command="make targets", evidence={"runs": [0.1, 0.15]}
    )
    assert targets.save(workload, target, folder) == folder / "smoke" / "mnist_mlp.json"
    assert targets.load(workload) == target
    assert find("smoke", "mnist_mlp").target == 0.125
    targets.save(workload, replace(target, definition="other"), folder)
    assert find("smoke", "mnist_mlp").target is None
    assert targets.load(workload).definition == "other"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"target": "low"}', '{"target": 1.0}', '{"target": null, "definition": "a"}']
)
def test_a_spoilt_target_file_is_told(tmp_path, text):
    workload = find("smoke", "mnist_mlp")
    file = targets.path(workload, tmp_path)
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(TargetError, match="rm "):
        targets.load(workload, tmp_path)


def test_a_target_that_is_no_number_is_not_stored(tmp_path):
    workload = find("smoke", "mnist_mlp")
    with pytest.raises(ValueError, match=r"finite|JSON"):
        targets.save(workload, StoredTarget(target=float("nan"), definition="a", command="b"), tmp_path)
    assert not targets.path(workload, tmp_path).exists()


@pytest.mark.parametrize("file", sorted(targets.FOLDER.rglob("*.json")), ids=lambda file: file.stem)
def test_a_stored_target_is_of_the_definition_of_today(file):
    workload = find(file.parent.name, file.stem)
    stored = targets.load(workload)
    assert stored.definition == workload.definition()
    assert workload.target == stored.target


def test_workloads_are_those_that_trials_are_recorded_on():
    records, _ = RecordStore(ROOT / "results" / "forty", "mini").read()
    recorded = {record.workload: record.workload_hash for record in records}
    assert len(recorded) == 4
    for name, definition_and_target in recorded.items():
        workload = find("mini", name)
        assert definition_and_target == f"{workload.definition()}@{workload.target}"


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_value_at_the_target_reaches_it(higher_is_better):
    workload = find("smoke", "mnist_mlp")
    workload = replace(workload, metric=replace(workload.metric, higher_is_better=higher_is_better), target=0.5)
    better, worse = (math.nextafter(0.5, end) for end in ((1.0, 0.0) if higher_is_better else (0.0, 1.0)))
    assert [workload.reaches(value) for value in (0.5, better, worse, None, math.nan)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not replace(workload, target=None).reaches(0.5)

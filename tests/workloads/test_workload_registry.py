"""Finding workloads and their targets."""

from dataclasses import replace

import pytest
import torch

from workloads import targets
from workloads.registry import DuplicateWorkload, UnknownWorkload, find, grouped, suite, suites, variants
from workloads.targets import StoredTarget, TargetError


def test_the_suites_and_what_is_in_them():
    assert suites() == ("smoke", "mini", "base")
    names = [workload.name for workload in suite("mini")]
    assert names == sorted(names)
    assert {"mnist_resnet", "flights_dlrm", "shakespeare_gpt"} <= set(names)
    assert all(workload.scale == scale for scale in suites() for workload in suite(scale))
    assert find("smoke", "mnist_mlp").batch_size == 16


def test_a_variant_is_the_workload_with_other_settings_of_its_model():
    for scale in suites():
        of = {w.variant_of for w in variants(scale)}
        assert of == {w.name for w in suite(scale)}
        for variant in variants(scale):
            base = find(scale, variant.variant_of)
            assert find(scale, variant.name) == variant
            assert variant.name.startswith(f"{base.name}_")
            assert variant.definition() != base.definition()
            with torch.device("meta"):
                assert type(variant.model()) is type(base.model())
            assert replace(variant, name=base.name, model=base.model, variant_of=None) == base
        counts = [sum(v.variant_of == w.name for v in variants(scale)) for w in suite(scale)]
        assert min(counts) >= 2


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownWorkload, match=r"'mega'.*smoke, mini, base"):
        suite("mega")
    with pytest.raises(UnknownWorkload, match=r"'mnist_mlp' in suite mini.*mnist_resnet"):
        find("mini", "mnist_mlp")
    assert issubclass(UnknownWorkload, ValueError)


def test_a_name_is_taken_once_at_each_scale():
    workload = find("smoke", "mnist_mlp")
    assert grouped([workload, replace(workload, scale="mini")]).keys() == {"smoke", "mini"}
    with pytest.raises(DuplicateWorkload, match="mnist_mlp at scale smoke"):
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

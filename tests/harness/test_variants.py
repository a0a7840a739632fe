"""Drawing variants: every workload once before any twice, the same draw again, another one elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.choose import chosen_workloads
from harness.protocol.settings import Settings
from harness.protocol.variants import draw, drawn
from pacer.errors import UsageError
from workloads import registry

MINI = registry.suite("mini")
VARIANTS = tuple(replace(variant, target=1.0) for variant in registry.variants("mini"))


@pytest.fixture(autouse=True)
def _targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every variant a target, whichever are set by now."""
    monkeypatch.setattr(registry, "variants", lambda suite: VARIANTS)


@pytest.mark.parametrize("seed", range(5))
def test_each_workload_has_one_before_any_has_two(seed: int) -> None:
    names = [workload.name for workload in MINI]
    assert sorted(v.variant_of for v in draw(VARIANTS, len(names), seed)) == names
    assert len({v.variant_of for v in draw(VARIANTS, 3, seed)}) == 3
    assert len(set(draw(VARIANTS, len(names) + 2, seed))) == len(names) + 2


def test_the_seed_decides() -> None:
    draws = {tuple(v.name for v in draw(VARIANTS, 3, seed)) for seed in range(20)}
    assert len(draws) > 10
    assert draw(VARIANTS, 3, 7) == draw(VARIANTS, 3, 7)


def test_a_results_folder_keeps_its_draw(tmp_path: Path) -> None:
    settings = Settings(variants=4, results=tmp_path / "one")
    first = drawn(settings, MINI)
    assert len(first) == 4
    assert drawn(settings, MINI) == first
    others = [drawn(replace(settings, results=tmp_path / str(n)), MINI) for n in range(9)]
    assert any(other != first for other in others)
    assert drawn(replace(settings, variant_seed=3), MINI) == draw(VARIANTS, 4, 3)


def test_variants_are_those_of_the_chosen_workloads(tmp_path: Path) -> None:
    settings = Settings(variants=2, results=tmp_path)
    one = registry.find("mini", "mnist_resnet")
    assert {v.variant_of for v in drawn(settings, [one])} == {"mnist_resnet"}
    assert drawn(replace(settings, variants=0), MINI) == ()


def test_too_many_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"999 variants.*at most {len(VARIANTS)}"):
        drawn(Settings(variants=999, results=tmp_path), MINI)
    assert not list(tmp_path.iterdir())


def test_a_spoilt_seed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mini" / "variants.json"
    path.parent.mkdir()
    path.write_text("seven")
    with pytest.raises(UsageError, match=r"variants\.json holds no seed"):
        drawn(Settings(variants=1, results=tmp_path), MINI)


def test_a_variant_without_a_target_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "variants", lambda suite: (replace(VARIANTS[0], target=None), *VARIANTS[1:]))
    settings = Settings(variants=len(VARIANTS) - 1, results=tmp_path)
    assert {v.name for v in drawn(settings, MINI)} == {v.name for v in VARIANTS[1:]}
    with pytest.raises(UsageError, match=f"at most {len(VARIANTS) - 1}"):
        drawn(replace(settings, variants=len(VARIANTS)), MINI)
    every = replace(settings, variants=len(VARIANTS), needs_targets=False)
    assert {v.name for v in drawn(every, MINI)} == {v.name for v in VARIANTS}


def test_workloads_without_a_target_are_refused_where_one_is_needed() -> None:
    settings = Settings(suite="base")
    with pytest.raises(UsageError, match=r"has no target in suite base.* make bench SUITE=base SCORE=ladder"):
        chosen_workloads(settings)
    every = chosen_workloads(replace(settings, needs_targets=False))
    assert {workload.name for workload in every} == {workload.name for workload in registry.suite("base")}
    assert any(workload.target is None for workload in every)

"""Setting targets: the rule by worked examples, and that the stored targets are what the rule gives."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median

import pytest

from harness.studies.target_rule import TargetError, decide
from scoring.records.protocol import BUDGET_FACTOR
from tests.scoring.build import record
from workloads import registry, targets
from workloads.base import Workload
from workloads.targets import StoredTarget

WORKLOAD = replace(registry.find("smoke", "mnist_mlp"), step_hint=100)


def run(ruleset: str, values: list[float], study: int = 0):
    """A run over 100 steps with these validation values, evenly spread."""
    made = record(values=values, time=1.0, ruleset=ruleset, study=study, higher_is_better=False)
    stride = 100 // len(values)
    steps = [replace(e, step=stride * (i + 1)) for i, e in enumerate(made.evaluations)]
    return replace(made, evaluations=tuple(steps))


def test_the_target_is_the_median_of_the_repeats_where_the_reference_reaches_it() -> None:
    tuned = [run("external", [0.5, best]) for best in (0.11, 0.13, 0.12)]
    reference = [run("self", [0.05, 0.04])]
    assert decide(WORKLOAD, tuned, reference) == 0.12


def test_it_is_lowered_to_what_every_study_of_the_reference_reaches_in_four_fifths() -> None:
    tuned = [run("external", [0.5, 0.10])]
    reference = [run("self", [0.40, 0.20]), run("self", [0.30, 0.01])]
    assert decide(WORKLOAD, tuned, reference) == 0.40  # what comes at step 100 is too late


def test_it_is_rounded_to_the_easier_side() -> None:
    assert decide(WORKLOAD, [run("external", [0.012341])], [run("self", [0.001, 0.001])]) == 0.0124
    higher = replace(WORKLOAD, metric=replace(WORKLOAD.metric, higher_is_better=True))
    assert decide(higher, [run("external", [0.87659])], [run("self", [0.99, 0.99])]) == 0.876


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_a_best_value_of_exactly_zero_is_the_target(higher_is_better: bool) -> None:
    workload = replace(WORKLOAD, metric=replace(WORKLOAD.metric, higher_is_better=higher_is_better))
    target = decide(workload, [run("external", [0.0])], [run("self", [0.0, 0.0])])
    assert (target, math.copysign(1, target)) == (0, 1)


def test_a_reference_that_diverges_sets_no_target() -> None:
    with pytest.raises(TargetError, match="the reference nadamw diverges"):
        decide(
            WORKLOAD,
            [run("external", [0.1])],
            [run("self", [0.05, 0.04]), replace(run("self", [0.1]), evaluations=())],
        )


SMOKE, MINI = registry.suite("smoke"), registry.suite("mini")
BASE = [workload for workload in registry.suite("base") if targets.load(workload) is not None]
VARIANTS = registry.variants("mini")


def with_targets(*workloads: Workload) -> list:
    return [pytest.param(w, targets.load(w), id=f"{w.suite}/{w.name}") for w in workloads]


@pytest.mark.parametrize(("workload", "kept"), with_targets(*SMOKE, *MINI, *VARIANTS))
def test_a_stored_target_fits_its_workload_and_its_runs(workload: Workload, kept: StoredTarget | None) -> None:
    assert kept is not None, f"python -m harness targets --suite {workload.suite} --workloads {workload.name}"
    assert kept.definition == workload.definition()
    assert workload.target == kept.target
    reference = kept.evidence["reference"]
    assert len(reference) >= 3
    reached = [any(workload.reaches(value) for value in r["validation"]) for r in reference]
    assert sum(reached) >= 0.8 * len(reached), "what the reference misses in more than one study of five"


@pytest.mark.parametrize(("workload", "kept"), with_targets(*BASE))
def test_a_target_at_base_is_what_the_reference_reaches_in_time(workload: Workload, kept: StoredTarget) -> None:
    assert kept.definition == workload.definition()
    assert workload.target == kept.target
    assert max(kept.evidence["reference_steps"]) <= 0.8 * workload.step_hint


KEEPS_UP = ("mnist_resnet",)
"""Where plain SGD is as quick as the reference: a convolutional network with BatchNorm on clean images."""


@pytest.mark.parametrize(("workload", "kept"), with_targets(*MINI))
def test_a_target_takes_the_reference_far_and_plain_sgd_farther(workload: Workload, kept: StoredTarget) -> None:
    steps = [step if step is not None else math.inf for step in kept.evidence["reference_steps"]]
    used = median(steps) / (BUDGET_FACTOR["external"] * workload.step_hint)
    assert 0.4 <= used <= 0.8
    if workload.name in KEEPS_UP:
        return
    plain = min(step if step is not None else math.inf for step in kept.evidence["plain_sgd_steps"])
    assert plain >= 1.2 * median(steps)

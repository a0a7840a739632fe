"""Setting targets: the rule by worked examples, and that the stored targets are what the rule gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.targets import _decide
from tests.scoring.build import record
from workloads import registry, targets

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
    assert _decide(WORKLOAD, [*tuned, *reference]) == 0.12


def test_it_is_lowered_to_what_every_study_of_the_reference_reaches_in_four_fifths() -> None:
    tuned = [run("external", [0.5, 0.10])]
    reference = [run("self", [0.40, 0.20]), run("self", [0.30, 0.01])]
    assert _decide(WORKLOAD, [*tuned, *reference]) == 0.40  # what comes at step 100 is too late


def test_it_is_rounded_to_the_easier_side() -> None:
    assert _decide(WORKLOAD, [run("external", [0.012341]), run("self", [0.001, 0.001])]) == 0.0124
    higher = replace(WORKLOAD, metric=replace(WORKLOAD.metric, higher_is_better=True))
    assert _decide(higher, [run("external", [0.87659]), run("self", [0.99, 0.99])]) == 0.876


@pytest.mark.parametrize("suite", ["smoke", "mini"])
def test_stored_targets_fit_their_workloads_and_their_runs(suite: str) -> None:
    for workload in registry.suite(suite):
        stored = targets.load(workload)
        assert stored is not None, f"make targets SUITE={suite} WORKLOADS={workload.name}"
        assert stored.definition == workload.definition()
        assert workload.target == stored.target
        reference = [r for r in stored.evidence["runs"] if r["ruleset"] == "self"]
        assert len(reference) >= 3
        best = [min(v for v in r["validation"] if v is not None) for r in reference]
        reached = sum(value <= stored.target for value in best)
        assert reached >= 0.8 * len(reference), (
            "what the reference misses in more than one study of five is no target"
        )

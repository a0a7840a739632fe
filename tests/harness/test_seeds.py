"""Seeds: the same draws for every submission, other draws for every study and trial."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from harness.protocol import seeds
from submissions.space import Choice, LogUniform, Uniform

SPACE = {"lr": LogUniform(1e-4, 1e-1), "momentum": Uniform(0.5, 1.0), "mode": Choice("a", "b", "c")}


def test_each_part_of_the_name_changes_the_seed() -> None:
    drawn = {
        seeds.submission_seed(root, workload, submission, study, trial)
        for root in (0, 1)
        for workload in ("w", "v")
        for submission in ("s", "t")
        for study in (0, 1)
        for trial in (0, 1)
    }
    assert len(drawn) == 32


NAMES = {"root": (0, 1, 2), "workload": ("w", "v", "mnist_mlp"), "submission": ("s", "t", "nadamw")}
NAMES |= {"study": (0, 1, 2), "trial": (0, 1, 2)}
KINDS = {
    seeds.init_seed: ("root", "workload", "study", "trial"),
    seeds.data_seed: ("root", "workload", "study", "trial"),
    seeds.submission_seed: ("root", "workload", "submission", "study", "trial"),
    seeds.points_seed: ("root", "workload", "submission", "study"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_trials_share_a_seed(kind: Callable[..., int]) -> None:
    """All seeds of a kind are distinct over every argument: no stream serves two workloads or two submissions."""
    draws = [kind(*named) for named in product(*(NAMES[argument] for argument in KINDS[kind]))]
    assert len(set(draws)) == len(draws) == 3 ** len(KINDS[kind])


def test_kinds_of_seeds_differ() -> None:
    drawn = {kind(*(NAMES[argument][0] for argument in arguments)) for kind, arguments in KINDS.items()}
    assert len(drawn) == len(KINDS)


@pytest.mark.parametrize(
    ("kind", "arguments", "seed"),
    [
        (seeds.init_seed, (0, "mnist_resnet", 0, 0), 2926793188),
        (seeds.init_seed, (7, "mnist_mlp", 2, 1), 3032235370),
        (seeds.data_seed, (0, "mnist_resnet", 0, 0), 4239848489),
        (seeds.data_seed, (7, "mnist_mlp", 2, 1), 2483397497),
        (seeds.submission_seed, (0, "mnist_resnet", "nadamw", 0, 0), 4288060928),
        (seeds.submission_seed, (7, "mnist_mlp", "adamw", 2, 1), 3437694601),
        (seeds.points_seed, (0, "mnist_resnet", "nadamw", 0), 3049608925),
        (seeds.points_seed, (7, "mnist_mlp", "adamw", 2), 2229913223),
    ],
)
def test_seeds_are_those_of_every_machine_and_run(kind: Callable, arguments: tuple, seed: int) -> None:
    """Records hang on these numbers."""
    assert kind(*arguments) == seed


def test_points_lie_in_the_space_and_depend_on_study_and_trial() -> None:
    points = [
        seeds.point(SPACE, seeds.points_seed(0, "w", "s", study), trial) for study in range(3) for trial in range(5)
    ]
    assert all(point[name] in SPACE[name] for point in points for name in SPACE)
    assert len({point["lr"] for point in points}) == 15


def test_a_point_does_not_depend_on_how_many_are_drawn() -> None:
    assert seeds.point(SPACE, 1, 3) == seeds.point(SPACE, 1, 3)


def test_points_of_a_study_spread_over_the_space() -> None:
    lrs = sorted(seeds.point({"lr": LogUniform(1e-4, 1.0)}, 0, t)["lr"] for t in range(8))
    for decade in range(-4, 0):
        assert sum(10.0**decade <= lr < 10.0 ** (decade + 1) for lr in lrs) in (1, 2, 3)


def test_domains_reach_both_ends() -> None:
    assert LogUniform(1e-3, 1e-1).at(0.0) == pytest.approx(1e-3)
    assert LogUniform(1e-3, 1e-1).at(0.5) == pytest.approx(1e-2)
    assert Uniform(2.0, 4.0).at(0.25) == 2.5
    assert [Choice("a", "b").at(u) for u in (0.0, 0.49, 0.5, 0.999)] == ["a", "a", "b", "b"]


@pytest.mark.parametrize("make", [lambda: Uniform(1, 1), lambda: LogUniform(0, 1), lambda: Choice()])
def test_an_empty_domain_is_refused(make) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()

"""What all tests share: the dataset cache, and trials short enough for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.trial.referee import run_trial
from pacer import paths
from scoring.records import Record
from submissions.registry import SubmissionRef, resolve
from tests.cores import one_core

pytest_plugins = ["tests.faults.tally"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def cache() -> Path:
    """The folder of the datasets that commands use, too: filled from the package index once."""
    return paths.default_data()


@pytest.fixture
def own_core() -> Iterator[None]:
    """For a bench in the test's own process: a core that those of other test processes do not use."""
    with one_core():
        yield


@pytest.fixture
def order(cache: Path) -> Trial:
    """A trial of the smallest workload, ten seconds at most, evaluated every 20 steps up to 60."""
    return Trial(
        suite="smoke",
        workload="mnist_mlp",
        submission=resolve("nadamw"),
        ruleset="self",
        seed=0,
        data=cache,
        ending=EverySteps(every=20, last=60, budget_s=10.0, stop_at_target=False),
    )


@pytest.fixture
def run_source(order: Trial) -> Callable[..., Record]:
    """Runs a submission given as the text of its file."""

    def run(source: str, **changes: object) -> Record:
        ref = SubmissionRef(name="probe", text=source, filename="probe.py")
        return run_trial(replace(order, submission=ref, **changes))

    return run

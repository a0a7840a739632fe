"""Choosing a point: merits by hand, the race, and what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from rich.console import Console

from harness import cli
from harness.protocol.settings import Settings
from harness.studies.candidates import Candidate, merit, survivors
from harness.studies.tune import _like_the_reference, tune
from pacer.errors import UsageError
from scoring.records import Outcome, RecordStore
from submissions import points
from tests.scoring.build import record
from workloads import registry, targets

WORKLOAD = registry.find("mini", "mnist_resnet")
EVIDENCE = targets.load(WORKLOAD).evidence

FILE = """
import torch

from submissions.base import Submission
from submissions.space import LogUniform


class Mine(Submission):
    name = "mine"
    space = {"lr": LogUniform(1e-6, 1.0)}
    defaults = {"lr": 1e-6}

    def configure(self, model, workload, hp):
        return torch.optim.SGD(model.parameters(), lr=hp.lr, momentum=0.9)
"""


def run(**changes: object):
    given = {"metric": "error_rate", "higher_is_better": False, "target": WORKLOAD.target, **changes}
    return record("mine", WORKLOAD.name, **given)


def test_the_merit_of_a_hit_is_its_credit_in_examples() -> None:
    steps = round(median(EVIDENCE["reference_steps"]))
    level = run(values=(WORKLOAD.target,), time=1.0, steps=steps)
    examples = [replace(e, examples=e.step * WORKLOAD.batch_size) for e in level.evaluations]
    level = replace(level, evaluations=tuple(examples))
    assert merit(WORKLOAD, level) == pytest.approx(0.5, abs=0.01)
    twice = replace(level, evaluations=(replace(examples[0], examples=examples[0].examples // 2),))
    assert merit(WORKLOAD, twice) == pytest.approx(0.75, abs=0.01)


def test_the_merit_of_a_miss_is_what_was_left_of_the_way() -> None:
    start = median(r["validation"][0] for r in EVIDENCE["reference"])
    half = (start + WORKLOAD.target) / 2
    missed = run(values=(start, half, start), time=1.0, outcome="complete")
    assert merit(WORKLOAD, missed) == pytest.approx(-0.5)
    assert merit(WORKLOAD, replace(missed, outcome=Outcome.DIVERGED)) == -1
    assert merit(WORKLOAD, run(values=(2 * start,), time=1.0, outcome="complete")) == -1


def test_workloads_that_a_submission_is_not_made_for_do_not_count() -> None:
    candidate = Candidate(0)
    candidate.records = {WORKLOAD.name: run(values=(), outcome="unsuitable")}
    assert candidate.merits([WORKLOAD]) == {}
    assert candidate.merit([WORKLOAD]) == 0


def test_the_better_half_goes_on_and_then_a_near_second() -> None:
    start = median(r["validation"][0] for r in EVIDENCE["reference"])
    ranked = []
    for number, share in enumerate((0.1, 0.2, 0.5, 0.9, 1.0)):  # of the way that was left
        value = WORKLOAD.target + share * (start - WORKLOAD.target)
        missed = run(values=(start, value), time=1.0, outcome="complete")
        ranked.append(Candidate(number, {}, {WORKLOAD.name: missed}))
    numbers = [c.number for c in survivors(ranked, [WORKLOAD], 0)]
    assert numbers == [0, 1, 2]
    assert [c.number for c in survivors(ranked, [WORKLOAD], 1)] == [0, 1]
    assert [c.number for c in survivors(ranked[1:], [WORKLOAD], 1)] == [1]
    untried = [Candidate(number) for number in range(3)]
    assert survivors(untried, [WORKLOAD], 1) == untried


def test_the_references_point_is_tried_where_it_fits() -> None:
    adam = {"lr": 1e-3, "one_minus_beta1": 0.1, "beta2": 0.999, "warmup": 0.05, "own": 3}
    like = _like_the_reference(adam)
    assert like["own"] == 3
    assert like["lr"] != adam["lr"]
    assert _like_the_reference({"lr": 0.1, "momentum": 0.9}) is None


def test_a_line_cannot_be_tuned(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write the point into the line itself"):
        tune(Settings(results=tmp_path), ["torch.optim:SGD"], 2, Console())


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("own_core")
def test_a_point_is_found_kept_and_used(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a rate that learns nothing and four of six decades, one that learns is found, on real workloads."""
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    common = ["--suite", "smoke", "--data", str(cache), "--results", str(tmp_path / "results")]
    common += ["--workloads", "mnist_mlp,flights_dlrm"]
    command = ["calibrate", *common, "--submission", str(path), "--points", "4"]
    assert cli.main(command) == 0
    found = points.load(path, "mine")
    assert found.point["lr"] > 1e-3
    assert found.state_bytes_per_parameter == pytest.approx(4.0)
    stored = json.loads((tmp_path / "tuned" / "mine.json").read_text())
    merits = [candidate["merit"] for candidate in stored["candidates"]]
    assert len(merits) == 5
    assert sorted(map(len, merits)) == [1, 1, 2, 2, 2], "the better half went on"
    store = RecordStore(tmp_path / "results" / "calibrations", "smoke")
    recorded = len(store.read()[0])
    assert recorded == 8
    assert cli.main(command) == 0
    # The point in use is a candidate of its own now; all others were recorded.
    assert len(store.read()[0]) <= recorded + 2
    bench = ["bench", *common, "--submissions", f"nadamw,{path},{path}@literature", "--studies", "1", "--no-mlflow"]
    assert cli.main(bench) == 0
    records = RecordStore(tmp_path / "results", "smoke").read()[0]
    rates = {r.submission: r.hp["lr"] for r in records if r.submission.startswith("mine")}
    assert rates["mine"] > 1e-3
    assert rates["mine@literature"] == 1e-6

"""Other horizons and batch sizes: what is trained there, for how long, and that it is kept apart from the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocol.choose import chosen_workloads, listed_workloads
from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial, results_hash
from harness.report.show import Presentation, board_folder, open_boards, show_board
from harness.system import machine
from harness.trial.referee import run_trial
from pacer.errors import RecordsError, UsageError
from scoring.board import BoardQuery
from scoring.records import Outcome, Record, RecordStore, from_json, to_json
from scoring.records.layout import SINGLE, Layout
from submissions.registry import SubmissionRef, resolve
from tests.faults.probe import probe
from tests.folders import ROOT
from workloads import registry

PLAIN = registry.find("smoke", "mnist_mlp")
HALF, DOUBLE = Layout(horizon=0.5), Layout(batch=2.0)

# Ends with its schedule as the reference does, and says what it was given.
SAYS = """
import json
raise RuntimeError(json.dumps([workload.step_hint, workload.batch_size, workload.budget_s, workload.target]))
"""


@pytest.mark.parametrize(
    ("horizon", "batch", "steps", "size", "every"),
    [
        (0.5, 1.0, 0.5, 1.0, 0.5),
        (2.0, 1.0, 2.0, 1.0, 2.0),
        (1.0, 2.0, 0.5, 2.0, 0.5),
        (1.0, 0.5, 2.0, 0.5, 2.0),
        (2.0, 2.0, 1.0, 2.0, 1.0),
        (0.5, 4.0, 0.125, 4.0, 0.125),
    ],
)
def test_factors_of_steps_and_batches(
    horizon: float, batch: float, steps: float, size: float, every: float
) -> None:
    of = replace(PLAIN, step_hint=3200, batch_size=64, evaluations=20)
    scaled = of.scaled(horizon, batch)
    assert (scaled.step_hint, scaled.batch_size) == (steps * 3200, size * 64)
    assert (scaled.evaluation_stride, scaled.evaluations) == (every * 160, 20)
    assert scaled.target is None
    examples = scaled.step_hint * scaled.batch_size
    assert examples == horizon * of.step_hint * of.batch_size


def test_what_is_no_whole_number_is_rounded_and_as_many_examples_stay() -> None:
    scaled = replace(PLAIN, step_hint=1000, batch_size=10).scaled(batch=0.25)  # 2.5 examples
    assert (scaled.step_hint, scaled.batch_size) == (5000, 2)
    assert replace(PLAIN, step_hint=1000, batch_size=1).scaled(batch=1 / 16).batch_size == 1


def test_at_one_nothing_changes() -> None:
    assert PLAIN.scaled(1.0, 1.0) is PLAIN
    assert SINGLE.scale == []
    assert Layout(devices=2, horizon=0.5, batch=4.0).settings == ["DEVICES=2", "HORIZON=0.5", "BATCH=4"]
    assert board_folder(Path("r"), "smoke", HALF) == Path("r/smoke/board_HORIZON=0.5")


@pytest.mark.parametrize("name", ["horizon", "batch"])
@pytest.mark.parametrize("factor", [0.0, -1.0, 0.0624, 16.01, 1000.0, float("nan"), float("inf")])
def test_other_factors_are_refused(name: str, factor: float) -> None:
    with pytest.raises(UsageError, match=rf"{name.upper()}=.*: expected a number from 1/16 to 16; type: "):
        Layout(**{name: factor})


@pytest.mark.parametrize("factor", [1 / 16, 16.0])
def test_the_bounds_belong_to_the_range(factor: float) -> None:
    assert Layout(horizon=factor, batch=factor).horizon == factor


def test_a_horizon_with_fewer_steps_than_evaluations_is_refused() -> None:
    short = Settings(suite="smoke", workloads=("mnist_mlp",), layout=Layout(horizon=1 / 16, batch=8.0))
    said = r"HORIZON=0\.0625 BATCH=8 leaves 2 steps of mnist_mlp, expected at least 4"
    with pytest.raises(UsageError, match=said):
        listed_workloads(short)


def test_only_the_ladder_ranks_there(tmp_path: Path) -> None:
    asked = Settings(suite="smoke", layout=HALF)
    with pytest.raises(UsageError, match=r"targets do not hold at HORIZON=0\.5; .* HORIZON=0\.5 SCORE=ladder"):
        chosen_workloads(asked)
    chosen = chosen_workloads(replace(asked, needs_targets=False))
    assert {workload.target for workload in chosen} == {None}
    with pytest.raises(UsageError, match="SCORE=ladder"):
        open_boards(tmp_path, BoardQuery(suite="smoke", score="anchored"), HALF)


def test_without_the_reference_nobody_is_shown_as_a_miss(tmp_path: Path, order: Trial) -> None:
    ref = replace(resolve("nadamw"), name="other")
    RecordStore(tmp_path, "smoke").append(run_trial(replace(order, submission=ref, layout=HALF)))
    with pytest.raises(RecordsError, match="relative to nadamw, which has no trials here"):
        open_boards(tmp_path, BoardQuery(suite="smoke"), HALF).build()


def test_scores_that_need_a_target_are_not_compared_with_the_ladder(tmp_path: Path, order: Trial) -> None:
    RecordStore(tmp_path, "smoke").append(run_trial(replace(order, layout=HALF)))
    shown = Presentation(compared=True, mirrored=False)
    with pytest.raises(UsageError, match=r"none of these trials has a target, .* leave out --compare"):
        show_board(Console(quiet=True), tmp_path, BoardQuery(suite="smoke"), shown, HALF)


def test_a_bench_says_so_before_it_trains(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "bench", "--suite", "smoke", "--horizon", "0.5", "--compare"]
    command += ["--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, "HORIZON=0.5, so the ladder alone ranks; leave out" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_keys_budgets_and_grids_are_others() -> None:
    def trials(layout: Layout) -> list[Trial]:
        settings = Settings(suite="smoke", workloads=("mnist_mlp",), studies=1, layout=layout, needs_targets=False)
        (workload,), here = chosen_workloads(settings), machine.hardware(layout).fingerprint
        return list(plan(settings, (workload,), [resolve("nadamw")], {"mnist_mlp": 0.01}, (), here))

    layouts = (SINGLE, HALF, DOUBLE, Layout(horizon=0.5, batch=2.0))
    made = [trials(layout)[0] for layout in layouts]
    keys = {
        trial.key(trial.find_workload(), machine.hardware(layout).fingerprint)
        for trial, layout in zip(made, layouts, strict=True)
    }
    assert len(keys) == len({key.workload_hash for key in keys}) == len({key.fingerprint for key in keys}) == 4
    whole, half, double, _ = made
    assert (half.budget_s, double.budget_s) == pytest.approx((whole.budget_s / 2, whole.budget_s / 2))
    assert (whole.ending.every, half.ending.every, double.ending.every) == (75, 38, 38)  # of 300 and of 150 steps


@pytest.mark.parametrize(("layout", "size"), [(HALF, 16), (DOUBLE, 32)])
def test_a_trial_is_trained_for_as_long_as_that(layout: Layout, size: int, order: Trial) -> None:
    assert (PLAIN.step_hint, PLAIN.batch_size) == (300, 16)
    order = replace(order, layout=layout, ending=replace(order.ending, every=8, last=None, stop_at_target=True))
    record = run_trial(order)
    assert (record.outcome, record.evaluations[-1].step) == (Outcome.COMPLETE, 150), (
        "the reference's schedule is over"
    )
    assert {(e.examples, e.step * size) for e in record.evaluations} == {
        (e.step * size, e.step * size) for e in record.evaluations
    }
    assert [e.step for e in record.evaluations[:-1]] == [8 * n for n in range(1, 19)]
    assert (record.step_hint, record.batch_size, record.target, record.layout) == (150, size, None, layout)
    assert record.workload_hash == results_hash(PLAIN.scaled(layout.horizon, layout.batch))
    assert from_json(to_json(record)) == record
    said = f'"horizon":{layout.horizon}' if layout == HALF else f'"batch":{layout.batch}'
    assert said in to_json(record)


@pytest.mark.parametrize(("layout", "expected"), [(HALF, [150, 16, 10.0, None]), (DOUBLE, [150, 32, 10.0, None])])
def test_a_submission_is_told_of_its_own_horizon(layout: Layout, expected: list, order: Trial) -> None:
    ref = SubmissionRef(name="probe", text=probe(configure=SAYS), filename="probe.py")
    record = run_trial(replace(order, submission=ref, layout=layout))
    assert record.failure is not None
    assert json.loads(record.failure.message) == expected


def test_lines_say_nothing_of_a_factor_of_one(order: Trial) -> None:
    record: Record = run_trial(replace(order, ending=replace(order.ending, last=20)))
    assert not {"horizon", "batch"} & set(json.loads(to_json(record)))
    assert from_json(to_json(record)).layout == SINGLE


def test_the_command_trains_and_refuses(tmp_path: Path, cache: Path) -> None:
    def trial(*words: str) -> subprocess.CompletedProcess[str]:
        where = ["--suite", "smoke", "--workload", "mnist_mlp", "--results", str(tmp_path), "--data", str(cache)]
        command = [sys.executable, "-m", "harness", "trial", *where, "--submission", "nadamw", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    done = trial("--horizon", "0.5", "--batch", "2")
    assert done.returncode == 0, done.stderr
    record = from_json(done.stdout)
    assert (record.step_hint, record.batch_size, record.horizon, record.batch) == (75, 32, 0.5, 2.0)
    assert record.budget_s == pytest.approx(1.875 * PLAIN.evaluations * record.evaluation_period_s)
    assert "HORIZON=0.5, BATCH=2" in record.device
    refused = trial("--horizon", "1000")
    assert (refused.returncode, "expected a number from 1/16 to 16" in refused.stderr) == (2, True), refused.stderr

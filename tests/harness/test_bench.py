"""Slow proofs on real benches: broken submissions, MLflow away, data that cannot be had."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scoring.mirror import default_uri, find_leaderboards
from scoring.records import Outcome, RecordStore
from tests.cores import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BENCH = [sys.executable, "-m", "harness", "bench", "--suite", "smoke", "--workloads", "mnist_mlp,shakespeare_gpt"]

# It learns nothing, so that no target ends a trial before its hook.
RAISES = """
import torch
from submissions.base import Submission

class Raises(Submission):
    name = "raises_in_HOOK"

    def configure(self, model, workload, hp):
        return torch.optim.SGD(model.parameters(), lr=0.0)

    def HOOK(self, *arguments):
        raise RuntimeError("on purpose")
"""
HOOKS = ("configure", "batch_size", "select", "update", "before_eval", "after_eval")


def bench(results: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run([*BENCH, "--results", str(results), "--no-mlflow", *more], **environment)


def lines(results: Path) -> list[str]:
    path = results / "smoke" / "trials.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def test_submissions_that_raise_in_each_hook_are_named_and_the_others_complete(tmp_path: Path) -> None:
    arguments = []
    for hook in HOOKS:
        path = tmp_path / f"raises_{hook}.py"
        text = RAISES.replace("HOOK", hook)
        if hook == "configure":
            text = re.sub(r"    def configure\(self, model.*?\n\n", "", text, flags=re.S)
        path.write_text(text)
        arguments += ["--submission", str(path)]
    done = bench(tmp_path, *arguments, "--studies", "1")
    assert done.returncode == 0, done.stderr
    records, _ = RecordStore(tmp_path, "smoke").read()
    for record in records:
        assert (record.outcome is Outcome.ERROR) == record.submission.startswith("raises_"), record
    for hook in HOOKS:
        line = (
            (tmp_path / f"raises_{hook}.py")
            .read_text()
            .splitlines()
            .index('        raise RuntimeError("on purpose")')
        )
        assert f"error in {hook} (raises_{hook}.py:{line + 1}): RuntimeError: on purpose" in done.stdout
    for name in ("nadamw", "adamw", "nesterov", "schedule_free_adamw"):
        assert re.search(rf"^ +\d+ .*\b{name}\b", done.stdout, re.M)


def test_with_mlflow_down_a_bench_completes_and_the_next_call_mirrors(tmp_path: Path) -> None:
    command = [*BENCH, "--results", str(tmp_path), "--studies", "1"]
    done = run(command, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert "warning: MLflow at http://127.0.0.1:1" in done.stderr
    assert len(lines(tmp_path)) == 8
    again = run(command)
    assert "0 to run" in again.stderr
    assert "warning" not in again.stderr
    boards = find_leaderboards(default_uri(tmp_path))
    assert [name for name, _ in boards] == ["pacer/smoke leaderboard"]


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = bench(tmp_path, RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in done.stderr
    assert "ray start --head" in done.stderr


def test_data_that_cannot_be_fetched_are_named_and_the_next_call_fetches_them(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"), "--studies", "1", "--submissions", "nadamw")
    failed = bench(tmp_path / "results", *data, PIP_INDEX_URL="http://127.0.0.1:1/simple", PIP_RETRIES="0")
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    assert "pip could not fetch" in failed.stderr
    assert "pip index versions" in failed.stderr
    done = bench(tmp_path / "results", *data)
    assert done.returncode == 0, done.stderr
    assert "mnist is ready" in done.stderr
    assert "shakespeare is ready" in done.stderr
    assert len(lines(tmp_path / "results")) == 2

"""Slow proofs on real benches: killed half-way, broken submissions, a Ray cluster that was there before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.machine import ROOT
from harness.records import Outcome, RecordStore
from scoring.mirror import default_uri, find_leaderboards

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BENCH = [sys.executable, "-m", "harness", "bench", "--suite", "smoke", "--workloads", "mnist_mlp,shakespeare_gpt"]

RAISES = """
import torch
from submissions.base import Submission

class Raises(Submission):
    name = "raises_in_HOOK"

    def configure(self, model, workload, hp):
        return torch.optim.SGD(model.parameters(), lr=0.1)

    def HOOK(self, *arguments):
        raise RuntimeError("on purpose")
"""
HOOKS = ("configure", "batch_size", "select", "update", "before_eval", "after_eval")


def bench(results: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, "--results", str(results), "--no-mlflow", *more]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )


def lines(results: Path) -> list[str]:
    path = results / "smoke" / "trials.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def left_of(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those alive half a minute later, save two agents of Ray: they idle on a while and are not ours to end."""
    _, alive = psutil.wait_procs(family, timeout=30)
    return [p for p in alive if p.status() != psutil.STATUS_ZOMBIE and not p.name().endswith("Agent")]


def test_a_killed_bench_loses_no_finished_trial_and_repeats_none(tmp_path: Path) -> None:
    wanted = 2 * 4 * 3
    command = [*BENCH, "--results", str(tmp_path), "--no-mlflow"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    family = []
    deadline = time.monotonic() + 200
    while len(lines(tmp_path)) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
        family = psutil.Process(driver.pid).children(recursive=True) or family
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    finished = lines(tmp_path)
    assert 6 <= len(finished) < wanted

    assert not left_of(family), "something trains on without its driver"

    again = bench(tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{wanted} trials, {len(finished)} recorded already, {wanted - len(finished)} to run" in again.stderr
    assert lines(tmp_path)[: len(finished)] == finished
    records, warnings = RecordStore(tmp_path, "smoke").read()
    assert warnings == []
    assert len(records) == len(lines(tmp_path)) == wanted

    third = bench(tmp_path)
    assert "0 to run" in third.stderr
    assert len(lines(tmp_path)) == wanted


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
    away = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=away)
    assert done.returncode == 0, done.stderr
    assert "warning: MLflow at http://127.0.0.1:1" in done.stderr
    assert len(lines(tmp_path)) == 8
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "0 to run" in again.stderr
    assert "warning" not in again.stderr
    boards = find_leaderboards(default_uri(tmp_path))
    assert [name for name, _ in boards] == ["pacer/smoke leaderboard"]


@pytest.fixture
def ray_address(tmp_path: Path) -> Iterator[str]:
    """A Ray cluster of two devices that nobody of ours started."""
    ray = str(Path(sys.executable).with_name("ray"))
    port = "6399"
    start = [ray, "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    subprocess.run([*start, "--disable-usage-stats"], check=True, capture_output=True, cwd=tmp_path)
    yield f"127.0.0.1:{port}"
    subprocess.run([ray, "stop", "--force"], check=True, capture_output=True)


def test_a_bench_runs_on_a_cluster(tmp_path: Path, ray_address: str) -> None:
    done = bench(tmp_path, "--studies", "1", "--json", RAY_ADDRESS=ray_address)
    assert done.returncode == 0, done.stderr
    assert {row["submission"] for row in json.loads(done.stdout)["rows"]} >= {"nadamw", "adamw"}
    assert len(lines(tmp_path)) == 8


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

"""One trial by itself, in a process that could not import Ray or MLflow, is a trial of a bench."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.system import machine
from scoring.records import Outcome, from_json
from submissions.registry import resolve
from tests.folders import ROOT
from workloads import registry

WITHOUT = """
import sys
sys.modules["ray"] = sys.modules["mlflow"] = None
from harness.cli import main
sys.exit(main(sys.argv[1:]))
"""
WORKLOAD = registry.find("smoke", "mnist_mlp")


def test_a_trial_runs_without_ray_and_mlflow(tmp_path: Path, cache: Path) -> None:
    kept = tmp_path / "new" / "trials.jsonl"
    words = [
        "trial",
        "--scale",
        "smoke",
        "--workload",
        "mnist_mlp",
        "--results",
        str(tmp_path),
        "--data",
        str(cache),
    ]
    words += ["--submission", "adamw", "--study", "1", "--record", str(kept)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mnist_mlp  adamw  study 1: " in done.stderr
    record = from_json(kept.read_text())
    assert record.outcome in (Outcome.REACHED, Outcome.COMPLETE, Outcome.BUDGET)
    assert record.submission_s > 0
    assert not list(tmp_path.rglob("*.checkpoint"))
    settings = Settings(suite="smoke", studies=2, results=tmp_path, data=cache)
    wanted = (settings, (WORKLOAD,), (resolve("adamw"),), {"mnist_mlp": 0.01})
    fingerprint = machine.hardware().fingerprint
    left = plan(*wanted, {record.key}, fingerprint)
    assert [trial.study for trial in left] == [0], "a bench would not run it again"


def test_where_a_record_cannot_be_written_is_said_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["trial", "--suite", "smoke", "--workload", "mnist_mlp", "--submission", "adamw"]
    assert cli.main([*words, "--results", str(tmp_path), "--record", str(tmp_path)]) == 2
    assert "name another file after --record" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

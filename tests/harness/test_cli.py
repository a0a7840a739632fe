"""The command line: settings are read rightly, and bad ones get an answer that helps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.algoperf import facts as algoperf_facts
from harness.protocol.defaults import DEFAULT_WORKLOADS
from harness.protocol.settings import Settings
from pacer.errors import UsageError
from scoring.board import Board
from scoring.mirror import MirrorReport
from scoring.records import RecordStore
from tests.folders import ROOT
from tests.scoring.build import record
from workloads import registry


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with a small board."""
    store = RecordStore(tmp_path, "mini")
    for submission, seconds in (("nadamw", 10.0), ("adamw", 5.0)):
        for study in range(3):
            store.append(record(submission, time=seconds + 0.1 * study, study=study))
    return tmp_path


def test_leaderboard_prints_strict_json(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderboard", "--results", str(results), "--json", "--no-mlflow"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert [row["submission"] for row in board["rows"]] == ["adamw", "nadamw"]
    first = board["rows"][0]
    assert (board["score"], board["reference"]) == ("ladder", "nadamw")
    assert first["score"] == pytest.approx(2.0, abs=0.03)  # twice as fast
    assert set(first) >= {"rank", "score_low", "score_high", "p_ahead_of_next", "tie_group", "speedup"}
    assert first["workloads"]["digits"]["reached"] is True
    assert first["workloads"]["digits"]["time_s"] == pytest.approx(5.1)


@pytest.mark.parametrize("by", ["time", "steps", "examples"])
@pytest.mark.parametrize("score", ["ladder", "anchored", "algoperf", "algoperf-published"])
def test_leaderboard_prints_a_table(results: Path, capsys: pytest.CaptureFixture[str], by: str, score: str) -> None:
    arguments = ["leaderboard", "--results", str(results), "--no-mlflow", "--by", by, "--score", score]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert out.index("adamw") < out.rindex("nadamw")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["leaderboard", "--results", "/nonexistent"], 1, "make bench"),
        (["bench", "--workloads", "nope"], 2, "name one of: "),
        (["bench", "--suite", "nope"], 2, "name one of: smoke, mini, base"),
        (["bench", "--submission", "nope"], 2, "known: adabelief"),
        (["bench", "--submission", "adamw@best"], 2, "expected @literature or @tuned"),
        (["calibrate", "--submission", "nope"], 2, "known: adabelief"),
        (["calibrate", "--submission", "torch.optim:SGD"], 2, "write the point into the line itself"),
        (["claims", "--results", "/nonexistent"], 1, "make bench"),
        (
            ["targets", "--suite", "smoke", "--families", "nadamw,nope"],
            2,
            "no submission is named nope; for a list",
        ),
        (["check", "--submission", "nope.py"], 2, "there is no file"),
        (["trial", "--workload", "nope", "--submission", "adamw"], 2, "name one of: "),
        (["trial", "--workload", "mnist_resnet", "--submission", "nope"], 2, "known: adabelief"),
        (["import-algoperf", "/none", "--version", "0.6", "--ruleset", "self"], 2, "is no folder; expected"),
        (["demo", "--logs", "/none"], 2, "import-algoperf DIR --version"),
        (
            ["leaderboard", "--suite", "algoperf-0.6-self", "--results", "/none"],
            1,
            "import-algoperf DIR --version 0.6",
        ),
    ],
)
def test_bad_input_is_answered(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("pacer: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_an_archive_and_the_page_of_claims_are_written(results: Path, tmp_path: Path) -> None:
    kept, page = tmp_path / "kept", tmp_path / "claims.md"
    assert cli.main(["archive", "--results", str(results), "--to", str(kept), "--submissions", "adamw"]) == 0
    assert {r.submission for r in RecordStore(kept, "mini").read()[0]} == {"adamw"}
    assert cli.main(["archive", "--results", str(results), "--to", str(kept)]) == 0
    assert cli.main(["claims", "--results", str(kept), "--to", str(page)]) == 0
    text = page.read_text()
    assert f"`make claims RESULTS={kept}` makes this page" in text
    assert "* tuned: did not hold up: 0.50x \\[" in text, "nadamw against adamw"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Published logs of two submissions on two base workloads and a held-out one, and of one on two others."""
    for ruleset, submission, workload, seconds in (
        ("self", "baseline", "wmt", 100),
        ("self", "baseline", "ogbg", 100),
        ("self", "baseline", "ogbg_model_size", 9),
        ("self", "fast", "wmt", 50),
        ("self", "fast", "ogbg", 50),
        ("self", "fast", "ogbg_model_size", 99),
        ("external", "baseline", "wmt", 100),
        ("external", "baseline", "finewebedu_lm", 100),
    ):
        facts = algoperf_facts.leaderboard({"self": "0.5", "external": "0.6"}[ruleset], ruleset)
        metric, target = facts.workloads[workload].metric, facts.workloads[workload].target
        for study in range(facts.studies):
            for trial in range(facts.trials):
                place = f"algoperf_v0{facts.version[-1]}/{ruleset}_tuning/{submission}/study_{study}/{workload}_jax"
                folder = tmp_path / "logs" / place / f"trial_{trial}"
                folder.mkdir(parents=True)
                text = f"global_step,score,validation/{metric}\n10,{seconds},{target}\n"
                (folder / "eval_measurements.csv").write_text(text)
    return tmp_path / "logs"


def test_published_logs_make_a_board_of_their_own(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--results", str(tmp_path)]
    imports = ["import-algoperf", str(logs), "--version", "0.5", *common]
    assert cli.main(imports) == 2
    assert "import-algoperf needs --ruleset (which leaderboard these are the logs of)" in capsys.readouterr().err
    for added, present in ((30, 0), (0, 30)):
        assert cli.main([*imports, "--ruleset", "self"]) == 0
        out = capsys.readouterr().out
        assert f"algoperf-0.5-self: {added} trials with {added} evaluations imported, {present} were there" in out
        assert "faults of the logs:\n  no logs, a miss (22): baseline on criteo1tb" in out
        assert "next: pacer leaderboard --suite algoperf-0.5-self" in out
    board = ["leaderboard", "--suite", "algoperf-0.5-self", "--no-mlflow", *common]
    # The ruleset, the reference and the held-out workload are those of the suite.
    assert cli.main([*board, "--score", "algoperf-published", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["ruleset"], made["reference"]) == ("self", "baseline")
    # fast is level nowhere: on wmt it is ahead, r = 2, and on ogbg its held-out time is above four times the best.
    assert {row["submission"]: row["score"] for row in made["rows"]} == {
        "baseline": pytest.approx((66.5 / 99 + 1) / 2),
        "fast": 0.5,
    }
    assert cli.main([*board, "--score", "algoperf-published"]) == 0
    assert "0.8359" in capsys.readouterr().out, "four digits"
    assert cli.main([*board, "--workloads", "ogbg", "--score", "algoperf"]) == 0
    kept = json.loads((tmp_path / "algoperf-0.5-self" / "board" / "board.json").read_text())
    assert list(kept["rows"][0]["workloads"]) == ["ogbg", "ogbg_model_size", "wmt"], "files hold the whole board"
    assert cli.main([*board, "--by", "examples"]) == 2
    assert "do not say how many examples" in capsys.readouterr().err


def test_scores_are_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["leaderboard", "--results", str(results), "--compare", "--no-mlflow"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(
        score in out for score in ("ladder", "anchored", "algoperf", "algoperf-published", "where they differ:")
    )
    assert cli.main([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [rows[0]["submission"] for rows in shown["scores"].values()] == ["adamw"] * 4
    assert shown["warnings"] == []
    RecordStore(results, "mini").append(record("adamw", "text", time=None))
    with open(RecordStore(results, "mini").path, "a") as file:
        file.write("half a record")
    assert cli.main([*arguments, "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert "no trials, counted as a miss: nadamw on text; run: make bench" in warnings
    assert "is not a record and was left out" in warnings[-1]


def test_the_demo_shows_the_published_leaderboards(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored, served = [], []

    def mirror(records: object, boards: list[Board], **_: object) -> MirrorReport:
        mirrored.extend(boards)
        return MirrorReport()

    monkeypatch.setattr("scoring.mirror.mirror", mirror)
    monkeypatch.setattr("scoring.mlflow_view.serve", lambda results, **_: served.append(results))
    assert cli.main(["demo", "--results", str(tmp_path), "--logs", str(logs)]) == 0
    out = capsys.readouterr().out
    assert "suite algoperf-0.5-self, ruleset self: algoperf-published score" in out
    assert "suite algoperf-0.6-external, ruleset external: algoperf-published score" in out
    assert [board.suite for board in mirrored] == ["algoperf-0.5-self", "algoperf-0.6-external"]
    assert mirrored[1].workloads == ("finewebedu_lm", "wmt")
    assert served == [tmp_path]


def test_what_an_algorithm_is_not_made_for_is_no_problem(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["check", "--suite", "smoke", "--workloads", "mnist_mlp", "--data", str(cache)]
    assert cli.main([*common, "--submission", "sam_on"]) == 0
    out = capsys.readouterr().out
    assert "does not apply: SAM-ON moves" in out
    assert "all is well" in out


@pytest.mark.parametrize("verb", ["workloads", "submissions", "doctor"])
def test_listings_are_json_for_programs(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    expected = {"workloads": "mnist_resnet", "submissions": "nadamw", "doctor": "fingerprint"}[verb]
    assert expected in ([row["name"] for row in listed] if verb != "doctor" else listed)


def test_check_explains_what_is_wrong(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from submissions.base import Submission\n\n\nclass Bad(Submission):\n    name = 'bad'\n\n"
        "    def configure(self, model, workload, hp):\n        return model.no_such_thing\n"
    )
    common = ["check", "--suite", "smoke", "--workloads", "mnist_mlp", "--data", str(cache)]
    assert cli.main([*common, "--submission", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "configure failed at bad.py:8: AttributeError" in out
    assert cli.main([*common, "--submission", "torch.optim:RMSprop"]) == 0
    assert "all is well" in capsys.readouterr().out
    assert cli.main([*common, "--submission", f"torch.optim:RMSprop,{bad},sam_on"]) == 1
    assert f"1 of 3 submissions have problems: {bad}" in capsys.readouterr().out.replace("\n", "")
    assert cli.main([*common, "--submission", "torch.optim:RMSprop,sam_on"]) == 0
    assert capsys.readouterr().out.endswith("all are well\n")


@pytest.mark.parametrize(
    ("arguments", "workloads"),
    [
        ([], DEFAULT_WORKLOADS),
        (["--suite", "mini"], None),
        (["--workloads", "mnist_resnet"], ("mnist_resnet",)),
        (["--suite", "smoke", "--workloads", "mnist_mlp,mnist_mlp_wide"], ("mnist_mlp", "mnist_mlp_wide")),
    ],
)
def test_a_bench_runs_what_was_named_and_else_a_part_of_the_suite(
    arguments: list[str], workloads: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Settings] = []

    def bench(settings: Settings, console: object) -> None:
        asked.append(settings)
        raise UsageError("seen")

    monkeypatch.setattr("harness.runs.bench.bench", bench)
    assert cli.main(["bench", *arguments]) == 2
    assert asked[0].workloads == workloads


def test_the_default_workloads_are_part_of_the_suite() -> None:
    assert set(DEFAULT_WORKLOADS) < {workload.name for workload in registry.suite("mini")}
    assert len(DEFAULT_WORKLOADS) >= 4


@pytest.mark.parametrize("verb", ["leaderboard", "submissions"])
def test_a_reader_that_leaves_early_ends_a_command_quietly(results: Path, verb: str) -> None:
    """As after `| head -1`."""
    words = [verb, *(["--results", str(results)] if verb == "leaderboard" else [])]
    command = subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert command.stdout is not None
    command.stdout.close()
    _, errors = command.communicate()
    assert command.returncode in (1, 128 + signal.SIGPIPE)
    assert b"Traceback" not in errors

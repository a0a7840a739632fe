"""The command line: settings are read rightly, and bad ones get an answer that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.errors import UsageError
from harness.plan import Settings
from harness.records import RecordStore
from harness.rules import DEFAULT_WORKLOADS
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


def test_names_are_split_outside_parentheses() -> None:
    text = "nadamw, torch.optim:SGD(lr=0.1,momentum=0.9) ,x.py"
    assert cli._names(text) == ("nadamw", "torch.optim:SGD(lr=0.1,momentum=0.9)", "x.py")
    assert cli._names("") is None


def test_leaderboard_prints_strict_json(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderboard", "--results", str(results), "--json", "--no-mlflow"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert [row["submission"] for row in board["rows"]] == ["adamw", "nadamw"]
    first = board["rows"][0]
    assert first["score"] == pytest.approx(0.75, abs=0.01)  # twice as fast: log(4 / 0.5) / log(16) = 3/4
    assert set(first) >= {"rank", "score_low", "score_high", "p_ahead_of_next", "tie_group", "speedup"}
    assert first["workloads"]["digits"]["reached"] is True
    assert first["workloads"]["digits"]["time_s"] == pytest.approx(5.1)


@pytest.mark.parametrize("by", ["time", "steps", "examples"])
@pytest.mark.parametrize("score", ["anchored", "algoperf"])
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
        (["bench", "--submission", "adamw@tuned"], 2, "expected @literature or @calibrated"),
        (["calibrate", "--submission", "nope"], 2, "known: adabelief"),
        (["calibrate", "--submission", "torch.optim:SGD"], 2, "write the point into the line itself"),
        (["claims", "--results", "/nonexistent"], 1, "make bench"),
        (["check", "--submission", "nope.py"], 2, "there is no file"),
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
    assert "* calibrated: did not hold up: 0.50x \\[" in text, "nadamw against adamw"


def test_what_an_algorithm_is_not_made_for_is_no_problem(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["check", "--suite", "smoke", "--workloads", "mnist_mlp", "--data", str(cache)]
    assert cli.main([*common, "--submission", "sam_on"]) == 0
    out = capsys.readouterr().out
    assert "does not apply: SAM-ON moves" in out
    assert "all is well" in out


@pytest.mark.parametrize("arguments", [["bench", "--studies", "0"], ["bench", "--ruleset", "none"], ["nope"], []])
def test_wrong_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


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

    monkeypatch.setattr("harness.bench.bench", bench)
    assert cli.main(["bench", *arguments]) == 2
    assert asked[0].workloads == workloads


def test_the_default_workloads_are_part_of_the_suite() -> None:
    assert set(DEFAULT_WORKLOADS) < {workload.name for workload in registry.suite("mini")}
    assert len(DEFAULT_WORKLOADS) >= 4

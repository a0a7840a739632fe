"""The Python API: the same benches, records and boards as the commands', as values."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pacer
from scoring.board import BoardQuery, build_board
from scoring.records import RecordStore
from tests.scoring.build import record

ROOT = Path(__file__).parent.parent


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder in which adamw is twice as fast as the reference, and misses once on text."""
    store = RecordStore(tmp_path / "results", "mini")
    for study in range(3):
        store.append(record("nadamw", time=10.0 + study, study=study))
        store.append(record("adamw", time=5.0 + study, study=study))
    store.append(record("adamw", "text", time=None))
    return tmp_path / "results"


def test_importing_it_is_light() -> None:
    code = "import sys, pacer; print(sorted({'numpy', 'rich', 'cyclopts', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_a_board_is_a_value_that_prints(results: Path) -> None:
    board = pacer.board(results=results)
    assert board.board == build_board(RecordStore(results, "mini").read()[0], BoardQuery(suite="mini"))
    assert "adamw" in str(board)
    assert "| adamw |" in board._repr_markdown_()
    table = board.to_frame()
    assert list(table.index) == [row.submission for row in board.board.rows]
    assert table.loc["adamw", "digits"] == 6.0
    assert table.loc["nadamw", "rank"] == 2
    assert not list(results.glob("mini/board*")), "it writes nothing"


def test_records_are_a_table(results: Path) -> None:
    table = pacer.records(results)
    assert len(table) == 7
    hits = table[table.workload == "digits"].set_index(["submission", "study"]).time_to_target_s
    assert hits["adamw", 2] == 7.0
    assert table[table.workload == "text"].time_to_target_s.isna().all()
    assert set(table.outcome) <= {"reached", "budget"}


def test_mistakes_are_errors_with_a_sentence(results: Path) -> None:
    for call, said in (
        (lambda: pacer.bench(studeis=3), "studeis is no option of pacer.bench; did you mean studies?"),
        (lambda: pacer.bench(studies=0), "studies=0: expected a whole number from 1 up"),
        (lambda: pacer.board(results, by="stepz"), "did you mean steps?"),
        (lambda: pacer.board(results, json=True), "print the board or read its fields"),
        (lambda: pacer.board(results / "none"), "make bench"),
    ):
        with pytest.raises(pacer.PacerError) as caught:
            call()
        assert said in str(caught.value)


def test_its_options_are_those_of_the_commands() -> None:
    assert {"studies", "variant_seed", "memory_gib", "compile"} <= set(inspect.signature(pacer.bench).parameters)
    assert {"by", "score", "suite"} <= set(inspect.signature(pacer.board).parameters)
    assert "json" not in inspect.signature(pacer.bench).parameters
    assert pacer.bench.__doc__


@pytest.mark.slow
def test_a_script_in_another_folder_benches(tmp_path: Path, cache: Path) -> None:
    """Without `if __name__`, and a second time from the settings that the first one left."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import pacer\nsome = dict(mlflow=False, data={str(cache)!r})\n"
        "first = pacer.bench(suite='smoke', workloads=['mnist_mlp'], submissions=['nadamw'], studies=1, "
        "results='here', **some)\n"
        "again = pacer.bench(first.settings, **some)\n"
        "assert again.board.rows == first.board.rows, (again, first)\n"
        "assert again.reports[0].trials_run == 0\n"
        "assert len(pacer.records('here', suite='smoke')) == 1\nprint(first)\n"
    )
    command = [sys.executable, str(script)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "nadamw" in done.stdout
    assert (tmp_path / "here" / "smoke" / "board" / "board.toml").exists()

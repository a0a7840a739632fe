"""The settings file that each board leaves beside it: `pacer bench FILE` makes the same board again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli_w
from rich.console import Console

from harness.algoperf.facts import of_suite
from harness.commands.shared.given import read_settings
from harness.commands.shared.results import as_typed
from harness.report.show import board_folder
from pacer.errors import UsageError
from scoring.board import Board
from scoring.records import Record, RecordStore, files
from scoring.records.layout import SINGLE, Layout
from scoring.records.protocol import REFERENCE

_NAME = "board.toml"
_SPECS = "specs.json"
_OF_BENCHES = ("stop", "checkpoint-s", "memory-gib", "processes", "file-mib", "stall-s", "hardware")
"""What records do not say: a leaderboard keeps what the last bench wrote."""


def of_board(board: Board, results: Path, records: Sequence[Record], layout: Layout) -> dict[str, object]:
    """The settings that a board and its records tell, by the names of the options of `pacer bench`."""
    specs = _specs(results, board.suite)
    trials = [r for r in records if r.ruleset == board.ruleset and r.layout == layout]
    seeds = Counter(record.seed for record in trials)
    settings: dict[str, object] = {
        "suite": board.suite,
        "workloads": list(board.workloads),
        "submissions": [specs.get(row.submission, row.submission) for row in board.rows],
        "studies": max(1, board.studies),
        "trials": 1 + max((record.trial for record in trials), default=0),
        "ruleset": board.ruleset,
        "seed": seeds.most_common(1)[0][0] if seeds else 0,
        "score": board.score,
        "by": board.by,
    }
    settings |= {"interpolate": True} if board.interpolated else {}
    settings |= {"reference": board.reference} if board.reference != REFERENCE else {}
    names = {"compiled": "compile"}
    usual = vars(SINGLE)
    changed = {names.get(name, name): value for name, value in vars(layout).items() if value != usual[name]}
    return settings | changed


def write_for_bench(
    board: Board, results: str, layout: Layout, asked: Mapping[str, object], console: Console
) -> Path | None:
    """Writes the settings of a bench's board; `asked` are those that its options alone tell."""
    return _write(board, results, layout, asked, console)


def write_for_leaderboard(board: Board, results: str, layout: Layout, console: Console) -> Path | None:
    """Writes the settings of a board that was shown again, with what the last bench wrote of its own."""
    path = board_folder(Path(results), board.suite, layout) / _NAME
    try:
        before = read_settings(str(path)) if path.exists() else {}
    except UsageError:  # somebody's own text
        before = {}
    kept = {name: before[name] for name in _OF_BENCHES if name in before}
    return _write(board, results, layout, kept, console)


def _write(board: Board, results: str, layout: Layout, more: Mapping[str, object], console: Console) -> Path | None:
    """None for a board of published logs, which no bench can make."""
    if of_suite(board.suite) is not None:
        return None
    records = [stored.record for stored in RecordStore(Path(results), board.suite).brief()[0]]
    settings = of_board(board, Path(results), records, layout) | dict(more) | {"results": as_typed(results)}
    path = board_folder(Path(results), board.suite, layout) / _NAME
    head = f"# Made with the board of {board.suite}, {board.ruleset} ruleset, on {board.hardware}.\n"
    head += "# Any option of pacer bench may stand here; what is typed after the file's name wins.\n"
    files.replace(path, (head + tomli_w.dumps(settings)).encode())
    console.print(f"The same again: pacer bench {shlex.quote(str(path))}", highlight=False, soft_wrap=True)
    return path


def remember(results: Path, suite: str, specs: Mapping[str, str]) -> None:
    """Keeps how each submission was asked for, by its name on the board, in RESULTS/SUITE/specs.json: a name does
    not say the path of a file."""
    path = results / suite / _SPECS
    known = _specs(results, suite)
    if any(known.get(name) != spec for name, spec in specs.items()):
        files.replace(path, (json.dumps({**known, **specs}, indent=1) + "\n").encode())


def _specs(results: Path, suite: str) -> dict[str, str]:
    try:
        return dict(json.loads((results / suite / _SPECS).read_text()))
    except (OSError, ValueError, TypeError):
        return {}

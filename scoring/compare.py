"""The same records under several scores, side by side: rank, score and interval of each, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scoring import escape
from scoring.board import Board
from scoring.rules import RULES
from scoring.tables import aligned, span, value_text

_FIELDS = ("submission", "rank", "score", "score_low", "score_high")


def differences(boards: Sequence[Board]) -> list[str]:
    """A line for each rank that hangs on the score, each time that does, as another trial of a study was picked,
    and each warning that is of some scores only, such as a removal that changes the winner."""
    rows = [{row.submission: row for row in board.rows} for board in boards]
    lines = []
    for name, first in rows[0].items():
        lines += _line(f"rank of {name}", boards, [str(own[name].rank) for own in rows])
        for workload in first.workloads:
            values = [own[name].workloads[workload].value for own in rows]
            shown = ["miss" if v is None else value_text(v, boards[0].by) for v in values]
            lines += _line(f"{name} on {workload}", boards, shown)
    for text in dict.fromkeys(line for board in boards for line in board.warnings):
        behind = [board.score for board in boards if text in board.warnings]
        lines += [f"by {' and '.join(behind)}: {text}"] if len(behind) < len(boards) else []
    return lines


def as_json(boards: Sequence[Board]) -> dict[str, Any]:
    """The comparison as plain values."""
    first = boards[0]
    return {
        "suite": first.suite,
        "ruleset": first.ruleset,
        "by": first.by,
        "scores": {b.score: [{name: getattr(row, name) for name in _FIELDS} for row in b.rows] for b in boards},
        "differences": differences(boards),
        "warnings": _common_warnings(boards),
    }


def as_text(boards: Sequence[Board]) -> str:
    """The comparison for a terminal, in the order of the first board."""
    first = boards[0]
    digits = max(RULES[board.score].digits for board in boards)
    table = []
    for name in (row.submission for row in first.rows):
        own = [next(row for row in board.rows if row.submission == name) for board in boards]
        scores = [f"{r.rank}: {r.score:.{digits}f} {span((r.score_low, r.score_high))}" for r in own]
        table.append([escape.plain(name), *scores])
    title = f"suite {first.suite}, ruleset {first.ruleset}, by {first.by}: rank, score and 95 % interval"
    parts = [escape.plain(title), "", aligned(["submission", *(board.score for board in boards)], table)]
    differing = differences(boards) or ["in no rank and no time"]
    for head, items in (("where they differ", differing), ("warnings", _common_warnings(boards))):
        if items:
            parts += ["", f"{head}:", *(f"  {escape.plain(item)}" for item in items)]
    return "\n".join(parts) + "\n"


def _common_warnings(boards: Sequence[Board]) -> list[str]:
    return [text for text in boards[0].warnings if all(text in board.warnings for board in boards)]


def _line(what: str, boards: Sequence[Board], values: Sequence[str]) -> list[str]:
    """One line that names the scores behind each value; none where all have the same."""
    behind: dict[str, list[str]] = {}
    for board, value in zip(boards, values, strict=True):
        behind.setdefault(value, []).append(board.score)
    if len(behind) == 1:
        return []
    parts = [f"{value} by {' and '.join(names)}" for value, names in behind.items()]
    return [f"{what}: {', '.join(parts)}"]

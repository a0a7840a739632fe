"""The board as text for a terminal, as Markdown and as CSV, rounded for reading."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Sequence

from rich.cells import cell_len

from scoring import escape
from scoring.board import Board, Cell, LadderDetails, Row
from scoring.rules import RULES

_UNITS = {"time": "s", "steps": "steps", "examples": "ex."}
_HEADS = ("rank", "tie", "submission", "score", "95 % interval", "P(ahead of next)", "speed-up")
_LADDER_HEADS = (
    *(
        "rank",
        "tie",
        "submission",
        "speed-up",
        "95 % interval",
        "P(ahead of next)",
        "in steps",
        "s/step",
        "reached",
    ),
    "on others like these",
)
_NAME = _HEADS.index("submission")
_MOST_FAILURES = 10
_GAP = 2  # blanks between columns


def as_text(board: Board, *, width: int = 120, next_command: str = "make bench") -> str:
    """The board for a terminal of `width` columns; workloads that do not fit next to the scores go below them.

    Under the table: what its marks mean, the warnings, what broke trials, and the next command to run.
    """
    rows = [[escape.plain(field) for field in fields] for fields in _summaries(board)]
    own = _heads(board)
    heads = [escape.plain(name) for name in board.workloads]
    cells = [[_cell(board, row.workloads[name]) for name in board.workloads] for row in board.rows]
    names = [[row[_NAME]] for row in rows]

    parts = [escape.plain(line) for line in _title(board)] + [""]
    for index, (start, stop) in enumerate(_blocks(own, rows, heads, cells, width)):
        left, left_heads = (rows, list(own)) if index == 0 else (names, ["submission"])
        block = [a + b[start:stop] for a, b in zip(left, cells, strict=True)]
        parts += [aligned(left_heads + heads[start:stop], block), ""]
    parts += _notes(board, escape.plain, bullet="  ")
    parts.append(f"next: {escape.plain(next_command)}")
    return "\n".join(parts) + "\n"


def as_markdown(board: Board) -> str:
    """The board as two GitHub tables, of scores and of times, with the same notes below them."""
    cells = [
        [row.submission, *(_cell(board, row.workloads[name]) for name in board.workloads)] for row in board.rows
    ]
    lines = [escape.markdown(line) + "  " for line in _title(board)]
    lines += ["", *_markdown_table(_heads(board), _summaries(board))]
    lines += ["", *_markdown_table(("submission", *board.workloads), cells)]
    return "\n".join([*lines, "", *_notes(board, escape.markdown, bullet="- ")]).rstrip() + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    aligned = ["---" if head == "submission" else "--:" for head in heads]
    escaped = [[escape.markdown(field) for field in row] for row in rows]
    return [
        f"| {' | '.join(fields)} |" for fields in ([escape.markdown(head) for head in heads], aligned, *escaped)
    ]


def as_csv(board: Board) -> str:
    """One line a submission; numbers to six digits, empty where there is none (a miss). Quoted as in RFC 4180."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ("time_s", "steps", "examples", "ratio", "credit", "studies", "studies_reached")
    scores = ("score", "score_low", "score_high", "p_ahead_of_next", "speedup")
    details = tuple(each.name for each in dataclasses.fields(LadderDetails))
    heads = [f"{name} {field}" for name in board.workloads for field in fields]
    writer.writerow(
        [escape.csv_field(head) for head in ("rank", "tie_group", "submission", *scores, *details, *heads)]
    )
    for row in board.rows:
        numbers = [getattr(row, name) for name in scores]
        numbers += [row.ladder and getattr(row.ladder, name) for name in details]
        numbers += [getattr(cell, field) for cell in row.workloads.values() for field in fields]
        shown = ["" if number is None else f"{number:.6g}" for number in numbers]
        writer.writerow([row.rank, row.tie_group, escape.csv_field(row.submission), *shown])
    return out.getvalue()


def value_text(value: float, by: str) -> str:
    """A value with its unit, to three digits: "20.0 s", "412 steps", "3,520 ex."."""
    number = f"{value:,.0f}" if value >= 99.95 or by != "time" else f"{value:#.3g}"
    return f"{number} {_UNITS[by]}"


def _cell(board: Board, cell: Cell) -> str:
    if not cell.studies:
        return "no trials"
    if cell.unsuitable is not None:
        return "n/a"
    reached = cell.studies if cell.studies_reached is None else cell.studies_reached
    if RULES[board.score].of_curves:
        share = "" if cell.studies_reached is None else f" ({reached}/{cell.studies})"
        return "no ladder" if cell.credit is None else f"{cell.credit:.2f}x{share}"
    share = f" ({reached}/{cell.studies})" if reached < cell.studies else ""
    if cell.value is None:
        return f"miss{share}"
    return f"{value_text(cell.value, board.by)}{'~' if cell.sustained is False else ''}{share}"


def _summaries(board: Board) -> list[list[str]]:
    sizes = Counter(row.tie_group for row in board.rows)
    return [_summary(board, row, tied=sizes[row.tie_group] > 1) for row in board.rows]


def _summary(board: Board, row: Row, *, tied: bool) -> list[str]:
    p = row.p_ahead_of_next
    doubted = board.studies > 1  # of a single study nothing tells how far another one would be
    of_curves = RULES[board.score].of_curves
    return [
        str(row.rank),
        str(row.tie_group) if tied else "",
        row.submission,
        f"{row.score:.{RULES[board.score].digits}f}{'x' if of_curves else ''}",
        span((row.score_low, row.score_high)) if doubted else "-",
        "" if p is None else f"{_percent(p)} %" if doubted else "-",
        *(_ladder(board, row) if of_curves else [_speedup(row.speedup)]),
    ]


def _heads(board: Board) -> tuple[str, ...]:
    return _LADDER_HEADS if RULES[board.score].of_curves else _HEADS


def _ladder(board: Board, row: Row) -> list[str]:
    """What the ladder score adds to a row."""
    own = row.ladder
    assert own is not None
    general = None if own.general_low is None else (own.general_low, own.general_high)
    return [
        _speedup(own.in_steps),
        _speedup(own.step_time),
        "-" if row.studies_reached is None else f"{row.studies_reached}/{row.studies}",
        span(general) if board.studies > 1 else "-",
    ]


def _speedup(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def span(ends: tuple[float | None, float | None] | None) -> str:
    """An interval, "-" where it is not known."""
    if ends is None or ends[0] is None or ends[1] is None:
        return "-"
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]"


def _percent(p: float) -> str:
    """Whole per cent; never 0 or 100 from a number of draws that cannot tell."""
    return ">99" if p > 0.995 else "<1" if p < 0.005 else f"{100 * p:.0f}"


def _title(board: Board) -> list[str]:
    studies = f"{board.studies} {'study' if board.studies == 1 else 'studies'}"
    return [
        f"suite {board.suite}, ruleset {board.ruleset}: {board.score} score by {board.by} to target"
        f"{', interpolated' if board.interpolated else ''}, reference {board.reference}",
        f"{board.hardware}; {studies} a workload, {board.trials} trials",
    ]


def _notes(board: Board, escaped: Callable[[str], str], bullet: str) -> list[str]:
    notes = []
    cells = [cell for row in board.rows for cell in row.workloads.values()]
    groups = [row.tie_group for row in board.rows]
    if len(set(groups)) < len(groups):
        notes.append("tie: the first of a group is ahead of the others in it with a probability below 95 %")
    if RULES[board.score].of_curves:
        notes += _ladder_notes(board)
    elif any(cell.studies_reached is not None and cell.studies_reached < cell.studies for cell in cells):
        notes.append("(k/n): k of n studies reached the target; half or fewer are a miss")
    if any(cell.sustained is False for cell in cells):
        notes.append("~: in some study the evaluation after the crossing did not meet the target")
    reasons = _where(board, lambda cell: (cell.unsuitable,) if cell.unsuitable is not None else ())
    if reasons:
        notes.append("n/a: the algorithm is not made for such a workload, and earns there what a miss does")
        notes += [f"n/a: {line}" for line in reasons]
    without = [name for name in board.workloads if board.rows[0].workloads[name].credit is None]
    if held_out := [] if RULES[board.score].of_curves else without:
        notes.append(f"held out, a miss there makes a miss of the base workload: {', '.join(held_out)}")
    failures = _where(board, lambda cell: cell.failures)
    if len(failures) > _MOST_FAILURES:
        failures[_MOST_FAILURES:] = [f"and {len(failures) - _MOST_FAILURES} more"]
    lines = []
    for head, items in (("notes", notes), ("warnings", board.warnings), ("failures", failures)):
        if items:
            lines += [f"{head}:", *(f"{bullet}{escaped(item)}" for item in items), ""]
    return lines


def _ladder_notes(board: Board) -> list[str]:
    """What the columns of the ladder score mean."""
    return [
        f"speed-up: how much sooner a submission comes to what {board.reference} reaches on the last half of its "
        f"way to the target, a geometric mean by {board.by}; 1.00x is level",
        "in steps, s/step: the same in steps, and the seconds of a step of the reference over those of the "
        "submission; (k/n), reached: k of n studies reached the target",
        "on others like these: the 95 % interval if the workloads are a sample too",
        *_detectable(board),
    ]


def _detectable(board: Board) -> list[str]:
    if board.detectable is None:
        return []
    return [
        f"{board.studies} studies tell a speed-up of {board.detectable:.2f}x from none with a probability of 80 %; "
        "more: make noise"
    ]


def _where(board: Board, texts: Callable[[Cell], Sequence[str]]) -> list[str]:
    """What cells say, a line for each submission and text, with the workloads where it says so."""
    where: dict[tuple[str, str], list[str]] = {}
    for row in board.rows:
        for name, cell in row.workloads.items():
            for text in texts(cell):
                where.setdefault((row.submission, text), []).append(name)
    return [f"{submission} on {', '.join(names)}: {text}" for (submission, text), names in where.items()]


def _blocks(
    own: Sequence[str],
    rows: Sequence[Sequence[str]],
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    width: int,
) -> list[tuple[int, int]]:
    """Which workloads go into which table: (start, stop) for each; the first table has the
    scores, headed `own`, as well."""

    wide = [width + _GAP for width in _widths(heads, cells)]
    scores = [width + _GAP for width in _widths(own, rows)]
    if sum(scores) + sum(wide) <= width:
        return [(0, len(heads))]
    blocks = [(0, 0)]
    start, used = 0, scores[_NAME]
    for stop, column in enumerate(wide):
        if stop > start and used + column > width:
            blocks.append((start, stop))
            start, used = stop, scores[_NAME]
        used += column
    return [*blocks, (start, len(heads))]


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], words: str = "submission") -> str:
    """An aligned table without ever wrapping or cutting a field; `words` heads a column of words."""
    widths = _widths(heads, rows)
    flush_left = [head == words for head in heads]
    lines = []
    for fields in (heads, *rows):
        padded = [
            field + " " * (width - _width(field)) if left else " " * (width - _width(field)) + field
            for field, width, left in zip(fields, widths, flush_left, strict=True)
        ]
        lines.append((" " * (_GAP + 1)).join(padded).rstrip())
    lines.insert(1, "─" * (sum(widths) + (_GAP + 1) * (len(widths) - 1)))
    return "\n".join(lines)


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns of the terminal that each column of the table takes."""
    return [max(map(_width, column)) for column in zip(heads, *rows, strict=True)]


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)

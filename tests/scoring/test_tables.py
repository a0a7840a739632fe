"""The board as text, Markdown and CSV."""

import csv
import io

import pytest
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scoring import compare, escape
from scoring.board import BoardQuery, build_board
from scoring.tables import aligned, as_csv, as_markdown, as_text, value_text
from tests.scoring.build import record, table

EVIL = "=[red]a|b\x1b[31m\n<b>*c*"
TIMES = {
    "nadamw": {"digits": [10, 11, 12], "flights": [20, 20, 20]},
    EVIL: {"digits": [5, 5.5, None], "flights": [None, 9, None]},
}


def board(times=TIMES, extra=(), **other):
    return build_board(
        [*table(times), *extra], BoardQuery(suite="mini", **({"draws": 200, "score": "anchored"} | other))
    )


def test_text_reads_well():
    failed = record("nadamw", "digits", None, trial=1, outcome="error", message="bad [beta]")
    text = as_text(
        board(TIMES | {"sgd": {"digits": [200, 210, 220]}}, [failed]), next_command="make bench STUDIES=5"
    )
    lines = text.splitlines()
    assert lines[0] == "suite mini, ruleset self: anchored score by time to target, reference nadamw"
    heads = "rank tie submission score 95 % interval P(ahead of next) speed-up digits flights"
    assert " ".join(lines[3].split()) == heads
    assert lines[5].split()[-5:] == ["1.00x", "11.0", "s", "20.0", "s"]
    assert "nadamw" in lines[5]
    assert "5.50 s (2/3)" in text
    assert "miss (1/3)" in text
    assert "210 s" in text
    assert "no trials" in text
    assert "  nadamw on digits: error in update (my.py:12): ValueError: bad [beta]" in lines
    assert lines[-1] == "next: make bench STUDIES=5"


def test_text_columns_are_aligned_and_fit_the_width():
    many = {f"workload_{i}": [10, 11, 12] for i in range(9)}
    for width in (100, 140, 400):
        text = as_text(board({"nadamw": many, "a_rather_long_name": many}), width=width)
        assert all(len(line) <= width for line in text.splitlines())
        assert all(text.count(f"workload_{i}") == 1 for i in range(9))
    assert text.count("a_rather_long_name") == 1  # one table where all fits


def test_axes_have_their_units():
    assert value_text(12.34, "time") == "12.3 s"
    assert value_text(19.97, "time") == "20.0 s"
    assert value_text(99.97, "time") == "100 s"
    assert value_text(0.01234, "time") == "0.0123 s"
    assert value_text(412.4, "steps") == "412 steps"
    assert value_text(35200.0, "examples") == "35,200 ex."
    assert "110 steps" in as_text(board(by="steps"))


def test_names_cannot_break_out():
    made = board()
    text, markdown, sheet = as_text(made), as_markdown(made), as_csv(made)
    for shown in (text, markdown, sheet):
        assert "\x1b" not in shown
        assert "[red]" in shown.replace("\\[", "[").replace("\\]", "]")
    assert r"=[red]a|b\x1b[31m\n<b>*c*" in text
    row = next(line for line in markdown.splitlines() if "\\[red" in line)
    assert "<" not in row
    assert r"a\|b" in row
    assert [line[2] for line in csv.reader(io.StringIO(sheet))][1:] in (
        ["nadamw", r"'=[red]a|b\x1b[31m\n<b>*c*"],
        [r"'=[red]a|b\x1b[31m\n<b>*c*", "nadamw"],
    )


def test_markdown_has_as_many_cells_in_each_row():
    lines = [
        line
        for line in as_markdown(board({"nadamw": {"a": [1, 2, 3], "b": [1, 2, 3]}})).splitlines()
        if "|" in line
    ]
    assert [line.count("|") for line in lines] == [8, 8, 8, 4, 4, 4]


def test_csv_has_numbers_and_gaps():
    rows = list(csv.DictReader(io.StringIO(as_csv(board()))))
    by_name = {row["submission"]: row for row in rows}
    assert by_name["nadamw"]["digits time_s"] == "11"
    assert by_name["nadamw"]["score"] == "0.5"
    evil = next(row for name, row in by_name.items() if name != "nadamw")
    assert evil["flights time_s"] == ""
    assert evil["flights studies_reached"] == "1"


def test_crossings_that_fell_back_are_marked():
    text = as_text(
        build_board(
            table({"nadamw": {"a": [1, 2, 3]}}, later=(0.5,)), BoardQuery(suite="mini", draws=10, score="anchored")
        )
    )
    assert "2.00 s~" in text
    assert "did not meet the target" in text


@pytest.mark.parametrize("text", ["", "plain", "a\tb\r\nc\x00", "\u202eabc", "日本"])
def test_plain_is_one_printable_line(text):
    assert escape.plain(text).isprintable()
    assert escape.matplotlib(text).isprintable()


def test_what_an_algorithm_is_not_made_for_is_said():
    extra = [
        record("mine", name, values=(), outcome="unsuitable", reason="It needs *classes*.")
        for name in ("digits", "flights")
    ]
    made = board(extra=extra)
    cell = next(row for row in made.rows if row.submission == "mine").workloads["digits"]
    assert (cell.unsuitable, cell.credit, cell.reached) == ("It needs *classes*.", 0, False)
    assert "  n/a: mine on digits, flights: It needs *classes*." in as_text(made).splitlines()
    assert "| mine | n/a | n/a |" in as_markdown(made)
    assert "It needs \\*classes\\*." in as_markdown(made)


def test_a_table_is_aligned_as_rich_does_it():
    """What is printed was rich's once, which takes seconds for a thousand rows."""
    heads = ["rank", "submission", "β wörkload", "日本", ""]
    rows = [["1", "a", "10.0 s", "x", ""], ["12", "long name", "", "日本語", "z"], ["", "日", "miss (0/3)", "", ""]]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for head in heads:
        table.add_column(Text(head), justify="left" if head == "submission" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(field) for field in row))
    out = io.StringIO()
    Console(file=out, width=200, color_system=None, legacy_windows=False, _environ={}).print(table)
    assert aligned(heads, rows) == "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_where_no_target_is_set_none_is_reached_or_missed():
    points = [(step, step / 10, step / 1000) for step in range(100, 1001, 100)]
    aimless = [
        record(name, "a", points=points, target=None, study=k) for name in ("nadamw", "adam") for k in (0, 1)
    ]
    board = build_board(aimless, BoardQuery(suite="mini"))
    assert {row.studies_reached for row in board.rows} == {None}
    line = next(line for line in as_text(board).splitlines() if " adam " in line)
    assert " - " in line
    assert "/2" not in line
    both = build_board([*aimless, *(record(n, "b", 10.0) for n in ("nadamw", "adam"))], BoardQuery(suite="mini"))
    assert [(row.studies_reached, row.studies) for row in both.rows] == [(1, 1), (1, 1)]


def test_a_csv_has_what_a_ladder_score_is_made_of():
    board = build_board(table({"nadamw": {"a": [10, 10]}, "adam": {"a": [5, 5]}}), BoardQuery(suite="mini"))
    rows = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert rows[0]["submission"] == "adam"
    assert float(rows[0]["in_steps"]) == pytest.approx(2.0)
    assert float(rows[0]["step_time"]) == pytest.approx(1.0)


def test_scores_of_one_study_are_compared():
    records = table({"nadamw": {"a": 10, "b": 10}, "adam": {"a": 5, "b": 8}})
    boards = [build_board(records, BoardQuery(suite="mini", score=score)) for score in ("ladder", "anchored")]
    assert " -" in compare.as_text(boards)

"""What the kept records of the published algorithms say is what the pages show."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harness.protocol.defaults import DEFAULT_WORKLOADS
from harness.report.listings import claims
from scoring.board import Board, BoardQuery, build_board
from scoring.claims import as_markdown
from scoring.records import Record, RecordStore
from scoring.tables import as_markdown as board_as_markdown
from submissions.registry import resolve
from tests.folders import ROOT

KEPT = ROOT / "results" / "forty"
pytestmark = pytest.mark.xdist_group("forty")  # they share what is read


@pytest.fixture(scope="module")
def records() -> list[Record]:
    found, warnings = RecordStore(KEPT, "mini").read()
    assert not warnings
    return found


@pytest.fixture(scope="module")
def board(records: list[Record]) -> Board:
    return build_board(records, BoardQuery(suite="mini", score="anchored"))


def test_every_row_has_three_studies_on_each_workload(records: list[Record]) -> None:
    assert (KEPT / "mini" / "trials.jsonl.gz").stat().st_size < 1_000_000
    rows = {record.submission for record in records}
    assert len(rows) >= 80
    assert rows == {
        end for name in rows for end in (name.partition("@")[0], f"{name.partition('@')[0]}@literature")
    }
    cells = Counter((record.submission, record.workload) for record in records)
    assert cells == {(row, workload): 3 for row in rows for workload in DEFAULT_WORKLOADS}
    assert len({record.fingerprint for record in records}) == 1


def test_the_rows_are_of_the_submissions_as_they_are(records: list[Record]) -> None:
    measured = {record.submission: record.submission_hash for record in records}
    assert {name: resolve(name).hash for name in measured} == measured


def test_the_claims_come_out_byte_for_byte(records: list[Record]) -> None:
    made = as_markdown(records, claims(), suite="mini", command="make claims RESULTS=results/forty")
    assert made == (ROOT / "docs" / "claims.md").read_text()
    assert len(re.findall(r"^## ", made, re.M)) >= 40


def test_the_leaderboard_comes_out_byte_for_byte(board: Board) -> None:
    assert board_as_markdown(board) == (ROOT / "docs" / "leaderboard.md").read_text()


def test_the_readme_shows_rows_of_the_leaderboard(board: Board) -> None:
    page = board_as_markdown(board).splitlines()
    section = (ROOT / "README.md").read_text().partition("## The published algorithms")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    assert len(shown) >= 10
    assert set(shown) <= set(page)

"""The records that were made on a GPU, and the page that shows them."""

from __future__ import annotations

from scoring.board import BoardQuery, build_board
from scoring.records import RecordStore
from scoring.tables import as_markdown
from tests.folders import ROOT


def test_the_page_shows_the_board_of_the_kept_records() -> None:
    records, warnings = RecordStore(ROOT / "results" / "h200", "base").read()
    assert not warnings
    assert all(record.guards == ("files", "network", "processes") for record in records)
    made = as_markdown(build_board(records, BoardQuery(suite="base", score="anchored"))).splitlines()
    rows = [line.replace("\\_", "_") for line in made if line.startswith("|") and line.count("|") == 4]
    page = (ROOT / "docs" / "devices.md").read_text()
    assert len(rows) == 6
    assert all(row in page for row in rows[2:]), rows

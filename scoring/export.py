"""A board as files: the table for reading and for programs, and the charts."""

from __future__ import annotations

import json
from pathlib import Path

from scoring.board import Board
from scoring.charts import profile_html, profile_png, scores_png
from scoring.tables import as_csv, as_markdown


def export(board: Board, folder: Path) -> None:
    """Writes board.json, board.csv, board.md, profile.png, profile.html and scores.png; nothing where all is so."""
    facts = json.dumps(board.as_json(), indent=1)
    whole = folder / "board.json"
    if whole.exists() and whole.read_text() == facts:
        return
    folder.mkdir(parents=True, exist_ok=True)
    whole.unlink(missing_ok=True)
    profile_png(board, folder / "profile.png")
    profile_html(board, folder / "profile.html")
    scores_png(board, folder / "scores.png")
    (folder / "board.csv").write_text(as_csv(board))
    (folder / "board.md").write_text(as_markdown(board))
    whole.write_text(facts)  # last, so that a run that was stopped half-way is made up for

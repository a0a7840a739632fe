"""Speed-ups over an axis, and which pairs change their order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.report.axes import as_text
from scoring.axis import axis_curves, axis_png
from scoring.board import Board, BoardQuery, build_board
from tests.scoring.build import table


def board(**times: float) -> Board:
    """The board of three studies of each, whose times differ by 1 %."""
    cells = {name: {"a": [t, t * 1.01, t * 0.99]} for name, t in {"nadamw": 10.0, **times}.items()}
    return build_board(table(cells), BoardQuery(suite="mini"))


def test_a_pair_that_changes_its_order_is_named() -> None:
    curves = axis_curves("horizon", {1.0: board(lion=5.0, muon=8.0), 0.5: board(lion=9.0, muon=6.0)})
    assert curves.factors == (0.5, 1.0)
    assert curves.curves["lion"][1.0].speedup == pytest.approx(2.0, rel=0.05)
    assert curves.flips == ("muon is ahead of lion at horizon 0.5 and behind it at 1",)
    assert json.dumps(curves.as_json(), allow_nan=False)
    text = as_text(curves)
    assert "horizon 0.5" in text
    assert "muon is ahead of lion" in text


def test_without_a_change_that_is_said() -> None:
    curves = axis_curves("batch", {1.0: board(lion=5.0), 2.0: board(lion=6.0)})
    assert "no pair changes its order" in as_text(curves)


def test_a_change_within_the_intervals_is_doubted(tmp_path: Path) -> None:
    loose = {"nadamw": {"a": [10, 11, 9]}, "lion": {"a": [9, 12, 8.5]}, "muon": {"a": [10, 8, 12]}}
    turned = loose | {"lion": loose["muon"], "muon": loose["lion"]}
    boards = {k: build_board(table(t), BoardQuery(suite="mini")) for k, t in ((1.0, loose), (2.0, turned))}
    curves = axis_curves("batch", boards)
    assert any(line.endswith("within their intervals") for line in curves.flips)
    axis_png(curves, tmp_path / "new" / "chart.png")
    assert (tmp_path / "new" / "chart.png").stat().st_size > 5000

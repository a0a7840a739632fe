"""Charts are drawn for ordinary, crowded and hostile boards; how they look was judged by eye."""

import pytest

from scoring import charts
from scoring.board import BoardQuery, build_board
from tests.scoring.build import table

EVIL = "</script><b>$\\frac{a$\x1b 日本 _x"


def board(submissions, **other):
    return build_board(table(submissions), BoardQuery(suite="mini", **({"draws": 20, "score": "anchored"} | other)))


def crowded():
    return {f"s{i}": {"a": [10 + i], "b": [10 + 3 * i]} for i in range(60)} | {"nadamw": {"a": [90], "b": [90]}}


@pytest.mark.parametrize(
    "submissions",
    [{"nadamw": {"a": [1, 2, 3]}, EVIL: {"a": [2, 2, 2]}}, {"nadamw": {"a": None}}, crowded()],
    ids=["hostile", "nothing", "crowded"],
)
@pytest.mark.parametrize("draw", [charts.profile_png, charts.scores_png])
def test_png(tmp_path, draw, submissions):
    draw(board(submissions), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_crowded_boards_show_the_first_and_the_reference():
    shown = charts._shown(board(crowded()), 12)
    assert [row.submission for row in shown] == [*(f"s{i}" for i in range(11)), "nadamw"]


def test_html_works_offline_and_names_are_text(tmp_path):
    path = tmp_path / "profile.html"
    charts.profile_html(board({"nadamw": {"a": [1, 2, 3]}, EVIL: {"a": [2, 2, 2]}}), path)
    page = path.read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert "</script><b>" not in page


def test_steps_run_from_1_to_4():
    made = board({"nadamw": {"a": 10, "b": 10}, "sgd": {"a": 20, "b": 30}, "lost": {"a": None, "b": None}})
    assert charts._steps(made, "nadamw") == ([1.0, 4.0], [1.0, 1.0])
    assert charts._steps(made, "sgd") == ([1.0, 2.0, 3.0, 4.0], [0.0, 0.5, 1.0, 1.0])
    assert charts._steps(made, "lost") == ([1.0, 4.0], [0.0, 0.0])


def test_savings(tmp_path):
    curves = {"exact": [(0.0, 1.0), (0.0, 1.3)], EVIL: [(0.0, 1.3), (0.0004, 2.0), (0.125, 3.0)]}
    charts.savings_png(curves, tmp_path / "chart.png", title=EVIL)
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")

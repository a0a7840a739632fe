"""Scores side by side: what each says, and where they differ."""

import json

from scoring import compare
from scoring.board import BoardQuery, build_board
from tests.scoring.build import record

# sgd reaches the target twice in its study: at its third evaluation after 9 s, at its second after 30 s.
RECORDS = [
    *(record("nadamw", "digits", 10.0, study=k) for k in range(3)),
    *(record("sgd", "digits", 3.0, values=[0.1, 0.2, 0.95], study=k) for k in range(3)),
    *(record("sgd", "digits", 15.0, values=[0.1, 0.95], study=k, trial=1) for k in range(3)),
]

OF_TIMES = ("anchored", "algoperf", "algoperf-published")


def boards(records=RECORDS):
    return [build_board(records, BoardQuery(suite="mini", score=score, draws=50)) for score in OF_TIMES]


def test_differences_in_rank_and_time_are_named():
    assert compare.differences(boards()) == [
        "rank of sgd: 1 by anchored and algoperf, 2 by algoperf-published",
        "sgd on digits: 9.00 s by anchored and algoperf, 30.0 s by algoperf-published",
        "rank of nadamw: 2 by anchored and algoperf, 1 by algoperf-published",
    ]


def test_the_table_has_all_scores_to_four_digits():
    text = compare.as_text(boards())
    line = next(line for line in text.splitlines() if line.lstrip().startswith("nadamw"))
    shown = "nadamw 2: 0.5000 [0.50, 0.50] 2: 0.9630 [0.96, 0.96] 1: 1.0000 [1.00, 1.00]"
    assert " ".join(line.split()) == shown
    assert "where they differ:\n  rank of sgd" in text


def test_a_warning_of_some_scores_only_is_a_difference():
    # By any score sgd wins by x alone; how clearly is another matter.
    records = [
        *(record(s, w, t, study=k) for s, w, t in (("nadamw", "x", 10.0), ("nadamw", "y", 10.0)) for k in range(2)),
        *(record(s, w, t, study=k) for s, w, t in (("sgd", "x", 3.0), ("sgd", "y", 12.0)) for k in range(2)),
    ]
    made = boards(records)
    assert compare.differences(made) == [
        "by anchored: without x, nadamw would win (0.50 to 0.43)",
        "by algoperf and algoperf-published: without x, nadamw would win (1.00 to 0.93)",
    ]
    few = "2 studies a workload: intervals mean little with fewer than 3"
    assert few in compare.as_json(made)["warnings"]
    assert few not in "\n".join(compare.differences(made))


def test_equal_boards_differ_nowhere():
    records = [record(study=k) for k in range(3)]
    assert compare.differences(boards(records)) == []
    assert "in no rank and no time" in compare.as_text(boards(records))


def test_json_is_plain():
    shown = json.loads(json.dumps(compare.as_json(boards()), allow_nan=False))
    assert list(shown["scores"]) == ["anchored", "algoperf", "algoperf-published"]
    assert shown["scores"]["anchored"][0]["submission"] == "sgd"
    assert set(shown["scores"]["algoperf"][0]) == {"submission", "rank", "score", "score_low", "score_high"}

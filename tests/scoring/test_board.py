"""The leaderboard from records: worked examples, its promises, and what it imports."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from pacer.errors import RecordsError, UsageError
from scoring.board import BoardQuery, build_board
from scoring.records import Outcome
from tests.scoring.build import record, table

TIMES = {
    "nadamw": {"x": [8, 10, 12], "y": [20, 20, 20]},
    "muon": {"x": [5, 4, 6], "y": [40, 41, 39]},
    "sgd": {"x": [40, 30, 50], "y": [20, None, 30]},
    "lost": {"x": [None] * 3, "y": [None, 9, None]},
}


def board(times=TIMES, **other):
    records = times if isinstance(times, list) else table(times)
    return build_board(records, BoardQuery(suite="mini", **({"draws": 200, "score": "anchored"} | other)))


def by_name(made):
    return {row.submission: row for row in made.rows}


def test_anchored_board_by_hand():
    # muon: r = 5/10 and 40/20, credits 0.75 and 0.25. sgd: 40/10 is 0, 30/20 is log(8/3) / log(16) = 0.35376.
    made = board()
    assert [(row.rank, row.submission, round(row.score, 5)) for row in made.rows] == [
        (1, "muon", 0.5),
        (1, "nadamw", 0.5),
        (3, "sgd", 0.17688),
        (4, "lost", 0.0),
    ]
    rows = by_name(made)
    assert (rows["nadamw"].score_low, rows["nadamw"].score_high) == (0.5, 0.5)
    assert rows["muon"].speedup == pytest.approx(1.0)
    assert rows["sgd"].speedup == pytest.approx((1 / 4 / 1.5) ** 0.5)
    assert rows["lost"].speedup is None
    assert made.rows[-1].p_ahead_of_next is None
    assert (made.studies, made.trials, made.code) == (3, 24, ("0.1.0",))


def test_algoperf_board_by_hand():
    # Fastest: 5 on x, 20 on y. nadamw r = 2, 1; muon 1, 2; sgd 8, 1.5 -> (4 - 1.5) / 3.
    rows = by_name(board(score="algoperf"))
    expected = {"nadamw": 5 / 6, "muon": 5 / 6, "sgd": 2.5 / 6, "lost": 0.0}
    assert {name: row.score for name, row in rows.items()} == pytest.approx(expected)


def test_a_cell_holds_the_medians_and_the_doubt():
    trial = record("sgd", "y", None, study=1, trial=1, outcome="error", message="bad beta\nmore")
    twice = record("sgd", "y", None, study=1, trial=2, outcome="error", message="bad beta\nmore")
    spread = record("sgd", "y", None, study=1, trial=3, outcome="diverged")
    cell = by_name(board([*table(TIMES, later=(0.95,)), trial, twice, spread]))["sgd"].workloads["y"]
    assert (cell.time_s, cell.steps, cell.examples, cell.value) == (30.0, 300.0, 9600.0, 30.0)
    assert (cell.reached, cell.studies, cell.studies_reached, cell.sustained) == (True, 3, 2, True)
    assert cell.ratio == pytest.approx(1.5)
    assert cell.spread == pytest.approx(10 / 25)
    assert cell.failures == ("2 x error in update (my.py:12): ValueError: bad beta", "diverged")


def test_a_miss_has_no_numbers():
    cell = by_name(board())["lost"].workloads["y"]  # one of three studies reached the target: the median is a miss
    assert (cell.time_s, cell.steps, cell.value, cell.ratio, cell.spread) == (None,) * 5
    assert (cell.reached, cell.credit, cell.studies_reached) == (False, 0.0, 1)


def test_adding_a_submission_changes_no_anchored_row():
    before = by_name(board())
    after = by_name(board(TIMES | {"new": {"x": [1, 1, 1], "y": [1, 2, 1]}}))
    for name, row in before.items():
        assert (row.score, row.score_low, row.score_high) == (
            after[name].score,
            after[name].score_low,
            after[name].score_high,
        )
        assert row.workloads == after[name].workloads


def test_adding_a_submission_changes_algoperf_scores():
    after = by_name(board(TIMES | {"new": {"x": [1, 1, 1], "y": [1, 2, 1]}}, score="algoperf"))
    assert after["nadamw"].score == 0.0


@pytest.mark.parametrize("score", ["anchored", "algoperf"])
@pytest.mark.parametrize("by", ["time", "steps", "examples"])
def test_intervals_hold_the_score_and_axes_agree_at_one_speed(score, by):
    made = board(score=score, by=by)
    for row in made.rows:
        assert row.score_low <= row.score <= row.score_high
        assert row.p_ahead_of_next is None or 0 <= row.p_ahead_of_next <= 1
    assert [row.score for row in made.rows] == pytest.approx([row.score for row in board(score=score).rows])


def test_axes_rank_apart():
    # sgd needs half the time and twice the steps.
    records = [
        *(record("nadamw", "x", 10.0, steps=100, study=k) for k in range(3)),
        *(record("sgd", "x", 5.0, steps=200, study=k) for k in range(3)),
    ]
    assert by_name(board(records, by="time"))["sgd"].score == pytest.approx(0.75)
    assert by_name(board(records, by="steps"))["sgd"].score == pytest.approx(0.25)


def test_dropping_the_winners_best_workload_is_said():
    made = board({"nadamw": {"x": [10] * 3, "y": [10] * 3}, "sgd": {"x": [3] * 3, "y": [12] * 3}})
    assert made.rows[0].submission == "sgd"
    assert made.warnings == ("without x, nadamw would win (0.50 to 0.43)",)


def test_reference_that_misses_or_is_absent_is_said():
    missing = board({"nadamw": {"x": [None] * 3}, "sgd": {"x": [50] * 3}})
    assert by_name(missing)["sgd"].score == pytest.approx(0.75)  # its budget is 100 s
    assert by_name(missing)["sgd"].speedup is None
    assert by_name(missing)["nadamw"].score == 0.0
    assert "the reference nadamw misses x: its budget stands for its value there" in missing.warnings[0]
    absent = board({"sgd": {"x": [50] * 3}})
    assert absent.rows[0].score == pytest.approx(0.75)
    assert absent.rows[0].speedup is None
    assert "no trials of the reference nadamw" in absent.warnings[0]


@pytest.mark.parametrize(("ruleset", "budget_steps"), [("self", 1500), ("external", 1000)])
@pytest.mark.parametrize("by", ["time", "steps", "examples"])
def test_axes_agree_at_one_speed_where_the_reference_misses(by, ruleset, budget_steps):
    # The step hint is 800. Who takes half of the budget earns log(8) / log(16) = 0.75 on any axis.
    records = [
        *(record("nadamw", "x", None, study=k, steps=budget_steps, ruleset=ruleset) for k in range(3)),
        *(record("sgd", "x", 50.0, study=k, steps=budget_steps // 2, ruleset=ruleset) for k in range(3)),
    ]
    assert by_name(board(records, by=by, ruleset=ruleset))["sgd"].score == pytest.approx(0.75)


HELD_OUT = [
    *table({"nadamw": {"x": [10] * 3, "y": [10] * 3}, "sgd": {"x": [5] * 3, "y": [10] * 3}}),
    *table({"nadamw": {"x_wide": [10] * 3}, "sgd": {"x_wide": [None] * 3}}, variant_of="x"),
]


@pytest.mark.parametrize("score", ["algoperf", "algoperf-published"])
def test_held_out_workloads_judge_their_base_and_earn_nothing(score):
    # sgd is twice as fast on x, but misses its held-out variant: it keeps y, where both are level.
    made = board(HELD_OUT, score=score, workloads=["x", "y", "x_wide"])
    assert {name: row.score for name, row in by_name(made).items()} == {"nadamw": 1.0, "sgd": 0.5}
    cells = by_name(made)["sgd"].workloads
    assert {name: cell.credit for name, cell in cells.items()} == {"x": 0.0, "y": 1.0, "x_wide": None}
    assert cells["x"].time_s == 5.0
    assert made.profile.corners["sgd"] == ((1.0, 0.5),)
    assert any(line.startswith("without x_wide, sgd would win (1.00 to 0.8") for line in made.warnings)
    assert (
        json.loads(json.dumps(made.as_json(), allow_nan=False))["rows"][1]["workloads"]["x_wide"]["credit"] is None
    )


def test_variants_count_like_any_workload_where_a_score_is_anchored():
    made = board(HELD_OUT, workloads=["x", "y", "x_wide"])
    assert by_name(made)["sgd"].score == pytest.approx((0.75 + 0.5 + 0) / 3)


def test_a_variant_without_its_base_is_a_workload():
    made = board(HELD_OUT, score="algoperf", workloads=["y", "x_wide"])
    assert {name: row.score for name, row in by_name(made).items()} == {"nadamw": 1.0, "sgd": 0.5}


def test_examples_that_are_not_told_are_not_ranked_by():
    with pytest.raises(UsageError, match="do not say how many examples"):
        board([record(batch_size=0)], by="examples")


def test_a_budget_that_is_not_known_is_said():
    records = table(
        {"nadamw": {"x": [None] * 3}, "sgd": {"x": [50] * 3}}, budget=0.0, ledger=(("training", 100.0),)
    )
    made = board(records)
    assert by_name(made)["sgd"].score == pytest.approx(0.75)
    assert "what it used of its budget, which is not known, stands for its value" in made.warnings[0]


def test_nobody_reached_anything():
    for score in ("anchored", "algoperf"):
        made = board({"nadamw": {"x": [None] * 3}, "sgd": {"x": [None] * 3}}, score=score)
        assert [(row.score, row.rank, row.tie_group) for row in made.rows] == [(0.0, 1, 1)] * 2
        assert made.rows[0].p_ahead_of_next == 0.5


def test_trials_outrun_in_time_are_said_on_other_axes():
    records = [*table(TIMES), record("sgd", "x", None, trial=1, outcome=Outcome.OUTRUN)]
    said = "1 trials were stopped once they could change no score by time; they may have needed fewer steps"
    assert said in board(records, by="steps").warnings
    assert not any("stopped" in line for line in board(records).warnings)


@pytest.mark.parametrize(("outcome", "said"), [("cut", "too narrow"), ("unpromising", "predicted to miss")])
def test_what_stopping_early_hides_is_said(outcome, said):
    records = [*table(TIMES), record("sgd", "x", None, trial=1, outcome=Outcome(outcome))]
    assert sum(said in line for line in board(records).warnings) == 1


def test_json_is_strict_and_has_the_fields():
    made = board(TIMES | {"part": {"x": [3, None, 4]}})
    plain = json.loads(json.dumps(made.as_json(), allow_nan=False))
    assert list(plain) == [
        "suite",
        "ruleset",
        "hardware",
        "reference",
        "score",
        "by",
        "interpolated",
        "detectable",
        "rows",
        "warnings",
    ]
    assert list(plain["rows"][0]) == [
        "submission", "rank", "score", "score_low", "score_high",
        "p_ahead_of_next", "tie_group", "speedup", "studies", "studies_reached", "ladder", "workloads",
    ]  # fmt: skip
    assert {"time_s", "steps", "reached", "ratio", "credit", "failures"} < set(plain["rows"][0]["workloads"]["x"])
    assert plain["rows"][-1]["workloads"]["x"]["time_s"] is None


def test_profile_curves_agree_with_their_corners():
    profile = board().profile
    assert profile.corners["nadamw"] == ((1.0, 0.5), (2.0, 1.0))
    curve = dict(zip(profile.taus, profile.curves["nadamw"], strict=True))
    assert (curve[1.0], curve[profile.taus[99]], curve[2.0], curve[4.0]) == (0.5, 0.5, 1.0, 1.0)


def test_the_same_records_in_any_order_make_the_same_board():
    records = table(TIMES)
    assert board(records) == board(records[::-1])


@pytest.mark.parametrize("wrong", [{"score": "mean"}, {"by": "epochs"}])
def test_settings_that_do_not_exist(wrong):
    with pytest.raises(UsageError, match="expected one of"):
        board(**wrong)


def test_no_records():
    with pytest.raises(RecordsError, match="run: make bench"):
        board([])


def test_imports_neither_torch_nor_ray_nor_mlflow():
    code = (
        "import sys, scoring.board, scoring.tables, scoring.charts\n"
        "heavy = {'torch', 'ray', 'mlflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "ours = {m for m in sys.modules if m.split('.')[0] in ('harness', 'workloads', 'submissions')}\n"
        "assert not heavy, heavy\n"
        "assert not ours, ours\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_board_says_what_nobody_kept_submissions_from():
    every = ("files", "network", "processes")
    count = len(table(TIMES))
    assert board(table(TIMES, guards=every)).warnings == board(table(TIMES)).warnings
    free = board(table(TIMES, guards=()))
    assert any(line.startswith(f"unsandboxed: in {count} of {count} trials") for line in free.warnings)
    part = board(table(TIMES, guards=("files", "processes")))
    assert [line for line in part.warnings if "sandboxed" in line] == [
        f"partly sandboxed: {count} of {count} trials ran without the guard 'network'"
    ]


def test_a_board_says_where_other_work_made_times_longer():
    calm = table(TIMES, contention_s=0.1)
    assert board(calm).warnings == board(table(TIMES)).warnings, "a little is always there"
    busy = [replace(r, contention_s=0.3 * r.evaluations[-1].time_s) if r.submission == "muon" else r for r in calm]
    (text,) = [line for line in board(busy).warnings if line.startswith("busy machine")]
    assert text.startswith(
        f"busy machine: in 6 of {len(calm)} trials other work took more than 10% of the trial's core"
    )
    assert "at worst 30%, from muon on" in text
    assert "so their times are too long" in text
    assert not [line for line in board(busy, by="steps").warnings if line.startswith("busy machine")]


def test_what_came_off_the_clock_makes_times_a_little_longer_at_most():
    calm = table(TIMES, contention_s=0.1, waited_s=0.1)
    assert board(calm).warnings == board(table(TIMES)).warnings
    share = {"muon": 1.0, "adamw": 1.0} if "adamw" in TIMES else {"muon": 1.0}
    busy = [
        replace(r, contention_s=r.evaluations[-1].time_s, waited_s=r.evaluations[-1].time_s)
        if r.submission in share
        else r
        for r in calm
    ]
    (text,) = [line for line in board(busy).warnings if line.startswith("busy machine")]
    assert "at worst 50%, from" in text, "of the wall's time"
    assert "which is off their clocks; what shared caches and a lower turbo cost is on them" in text
    assert "too long;" in text
    assert "are too long" not in text


def test_a_board_by_examples_says_whose_count_that_is():
    records = table(TIMES, guards=("files",), batch_size=32)
    said = "examples are counted in the submission's own process; only time is measured from outside"
    assert said in board(records, by="examples").warnings
    assert said not in board(records, by="time").warnings


def test_a_leap_no_training_makes_is_named():
    made = board(TIMES | {"embedded": {"x": [0.4] * 3, "y": [19, 20, 21]}})
    said = [line for line in made.warnings if line.startswith("implausible")]
    assert len(said) == 1
    assert "embedded takes less than 1/20 of the reference's time or examples on x;" in said[0]


def test_where_the_reference_misses_what_it_used_up_tells_a_leap():
    """Its trials end at 100 s; 4 s are a twenty-fifth of that, 6 s are not."""
    missed = TIMES | {"nadamw": TIMES["nadamw"] | {"x": [None] * 3}}
    made = board(missed | {"embedded": {"x": [4] * 3, "y": [20] * 3}, "quick": {"x": [6] * 3, "y": [20] * 3}})
    said = [line for line in made.warnings if line.startswith("implausible")]
    assert [line.split(" takes")[0] for line in said] == ["implausible: embedded"]

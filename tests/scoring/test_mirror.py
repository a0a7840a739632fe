"""The mirror against real SQLite stores: complete, idempotent, in place, quiet, and clear about a broken server."""

import json
import math
import shutil
import socket
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from pacer.errors import UsageError
from scoring import export
from scoring import mirror as mirrors
from scoring.board import BoardQuery, build_board
from scoring.mirror import MirrorError, default_uri, find_leaderboards, leaderboard_url, mirror
from scoring.mlflow_store import cut, legal, readable
from scoring.mlflow_view import serve
from scoring.records import Evaluation, Failure, Outcome, RecordStore, stored, to_json
from tests.scoring.build import record, table

# MLflow's own: it uses what SQLAlchemy will drop, and leaves SQLite connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SADeprecationWarning",
    "ignore:unclosed database in <sqlite3.Connection:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

TIMES = {
    "nadamw": {"digits": 10, "text": 20},
    "muon": {"digits": 5.5, "text": 18},
    "sgd": {"digits": 30, "text": None},
}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An SQLite store with MLflow's tables, which take 3 s to create."""
    folder = tmp_path_factory.mktemp("store")
    mirror([], tracking_uri=default_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture
def uri(empty_store, tmp_path):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


@pytest.fixture(autouse=True)
def quick_charts(request, monkeypatch):
    """Charts take half a second a board to draw, so one test draws them."""
    if request.node.name != "test_charts_are_beside_the_trials_once":
        for name in ("profile_png", "profile_html", "scores_png"):
            monkeypatch.setattr(export, name, lambda board, path: path.write_text("chart"))


def board(records, **other):
    return build_board(records, BoardQuery(suite="mini", **({"draws": 50, "score": "anchored"} | other)))


def runs(uri, name, kind=None, which=ViewType.ACTIVE_ONLY):
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id], "", which, max_results=1000)
    return [run for run in found if kind in (None, run.data.tags.get("pacer.kind", "trial"))]


def rows(uri, name="pacer/mini leaderboard"):
    return {run.info.run_name: run for run in runs(uri, name)}


def test_trials_are_nested_under_one_run_a_submission(uri):
    records = table(TIMES)
    report = mirror(records, tracking_uri=uri)
    assert (report.trials, report.kept) == (6, 0)
    parents = {run.info.run_id: run for run in runs(uri, "pacer/mini", "submission")}
    assert sorted(run.info.run_name for run in parents.values()) == ["muon", "nadamw", "sgd"]
    trials = runs(uri, "pacer/mini", "trial")
    assert len(trials) == 6
    for trial in trials:
        parent = parents[trial.data.tags["mlflow.parentRunId"]]
        assert parent.info.run_name == trial.data.tags["submission"]
        assert trial.info.status == "FINISHED"


def test_a_trial_says_what_its_record_says(uri):
    made = record("muon", "digits", 10, hp={"lr": 0.01, "betas": [0.9, 0.99]}, started=1e9, clock_started=1e9 + 1)
    made = replace(made, ended=1e9 + 12, test_value=0.91, versions={"torch": "2.13", "python": "3.11"})
    mirror([made], tracking_uri=uri)
    (trial,) = runs(uri, "pacer/mini", "trial")
    assert (trial.info.start_time, trial.info.end_time) == (10**12, 10**12 + 12_000)
    assert trial.data.params["hp.lr"] == "0.01"
    assert trial.data.params["hp.betas"] == "[0.9, 0.99]"
    assert {"workload": "digits", "study": "0", "trial": "0"}.items() <= trial.data.params.items()
    assert {"outcome": "reached", "fingerprint": "cpu-2", "code": "0.1.0"}.items() <= trial.data.tags.items()
    assert trial.data.tags["versions"] == "python 3.11, torch 2.13"
    assert trial.data.metrics["time_to_target_s"] == 10
    assert trial.data.metrics["steps_to_target"] == 100
    assert trial.data.metrics["test"] == 0.91


def test_learning_curves_are_over_steps_and_over_time(uri):
    mirror([record("muon", "digits", 2.5, values=(0.2, 0.5, 0.95), clock_started=1000.0)], tracking_uri=uri)
    (trial,) = runs(uri, "pacer/mini", "trial")

    def curve(name):
        points = MlflowClient(uri).get_metric_history(trial.info.run_id, f"curve/{name}")
        return [(p.step, p.value) for p in points]

    assert curve("validation") == [(25, 0.2), (50, 0.5), (75, 0.95)]
    assert curve("validation_over_ms") == [(2500, 0.2), (5000, 0.5), (7500, 0.95)]
    assert curve("submission_s") == [(25, 2.5), (50, 5.0), (75, 7.5)]
    stamps = [p.timestamp for p in MlflowClient(uri).get_metric_history(trial.info.run_id, "curve/validation")]
    assert stamps == [1_002_500, 1_005_000, 1_007_500]


def test_a_failure_shows_its_traceback(uri):
    trace = 'Traceback (most recent call last):\n  File "my.py", line 12\nValueError: bad beta'
    failure = Failure(hook="update", kind="ValueError", message="bad beta", file="my.py", line=12, traceback=trace)
    broken = replace(record("muon", "digits", None), outcome=Outcome.ERROR, failure=failure)
    mirror([broken], tracking_uri=uri)
    (trial,) = runs(uri, "pacer/mini", "trial")
    assert trial.info.status == "FAILED"
    assert trial.data.tags["failure"] == "ValueError in update (my.py:12): bad beta"
    assert f"~~~\n{trace}\n~~~" in trial.data.tags["mlflow.note.content"]
    assert MlflowClient(uri).list_artifacts(trial.info.run_id)[0].path == "traceback.txt"


def test_values_that_are_not_numbers_are_left_out(uri):
    points = (
        Evaluation(step=1, examples=32, time_s=0.1, value=0.5, train_loss=1.0),
        Evaluation(step=2, examples=64, time_s=0.2, value=None, train_loss=None),
    )
    broken = replace(record("muon", "digits", None), evaluations=points, outcome=Outcome.DIVERGED)
    mirror([broken], [board([broken, *table(TIMES)])], tracking_uri=uri)
    for run in (*runs(uri, "pacer/mini"), *runs(uri, "pacer/mini leaderboard")):
        assert all(math.isfinite(value) for value in run.data.metrics.values())
    trial = next(run for run in runs(uri, "pacer/mini", "trial"))
    assert trial.data.metrics["curve/validation"] == 0.5
    assert "time_to_target_s" not in trial.data.metrics


def test_a_long_trial_fits_the_limits_of_a_request(uri):
    points = tuple(Evaluation(step=n, examples=n, time_s=n / 10, value=0.1, train_loss=0.1) for n in range(700))
    hp = {f"p{n}": n for n in range(150)}
    mirror([replace(record("muon", "digits", None), evaluations=points, hp=hp)], tracking_uri=uri)
    (trial,) = runs(uri, "pacer/mini", "trial")
    assert len(MlflowClient(uri).get_metric_history(trial.info.run_id, "curve/train_loss")) == 700
    assert trial.data.params["hp.p149"] == "149"


def test_rows_are_the_board(uri):
    records = table(TIMES)
    made = board(records)
    report = mirror(records, [made], tracking_uri=uri)
    assert report.rows_written == 3
    shown = rows(uri)
    assert set(shown) == {"nadamw", "muon", "sgd"}
    for row in made.rows:
        run = shown[row.submission]
        assert run.data.metrics["rank"] == row.rank
        assert run.data.metrics["score"] == round(row.score, 3)
        assert run.data.metrics["score_low"] <= run.data.metrics["score"] <= run.data.metrics["score_high"]
        assert {"fingerprint": "cpu-2", "ruleset": "self", "score kind": "anchored by time"}.items() <= (
            run.data.tags.items()
        )
    assert shown["muon"].data.metrics["digits s"] == 5.5
    assert "text s" not in shown["sgd"].data.metrics
    assert shown["sgd"].data.tags["missed"] == "text"
    assert " to " in shown["muon"].data.tags["interval"]


def test_a_published_score_has_four_digits(uri):
    records = [
        *table({"nadamw": {"digits": 10, "text": 20}, "muon": {"digits": 7, "text": 18}}),
        *table({"nadamw": {"digits_wide": 10}, "muon": {"digits_wide": 11}}, variant_of="digits"),
    ]
    made = board(records, score="algoperf-published", workloads=["digits", "text", "digits_wide"])
    mirror(records, [made], tracking_uri=uri)
    shown = rows(uri)
    # nadamw: 10 / 7 on digits counts as solved at 85 of the 100 points, 20 / 18 at 96, the last for half of one.
    assert shown["nadamw"].data.metrics["score"] == round((84.5 + 95.5) / 99 / 2, 4) == 0.9091
    assert shown["nadamw"].data.metrics["digits_wide s"] == 10.0


def test_the_link_opens_a_view_with_the_columns_best_first(uri):
    records = table(TIMES)
    report = mirror(records, [board(records)], tracking_uri=uri)
    (leaderboard,) = report.leaderboards
    assert find_leaderboards(uri) == [("pacer/mini leaderboard", leaderboard.experiment_id)]
    address = leaderboard_url("http://127.0.0.1:5000/", leaderboard.experiment_id)
    assert address.startswith(f"http://127.0.0.1:5000/#/experiments/{leaderboard.experiment_id}/runs?viewState")
    tags = MlflowClient(uri).get_experiment(leaderboard.experiment_id).tags
    view = json.loads(tags["mlflow.sharedViewState.board"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`score`", False)
    assert view["selectedColumns"][:3] == ["metrics.`rank`", "metrics.`score`", "tags.`interval`"]
    assert {"metrics.`digits s`", "metrics.`text s`"} <= set(view["selectedColumns"])
    assert "muon" in tags["mlflow.note.content"]


def test_charts_are_beside_the_trials_once(uri):
    records = table(TIMES)
    (leaderboard,) = mirror(records, [board(records)], tracking_uri=uri).leaderboards
    assert [run.info.run_id for run in runs(uri, "pacer/mini", "board")] == [leaderboard.charts]
    files = {file.path for file in MlflowClient(uri).list_artifacts(leaderboard.charts)}
    assert {"profile.png", "profile.html", "scores.png", "board.csv", "board.md", "board.json"} == files


def test_a_second_call_writes_nothing(uri):
    records = table(TIMES)
    mirror(records, [board(records)], tracking_uri=uri)
    before = [run.to_dictionary() for run in (*runs(uri, "pacer/mini"), *runs(uri, "pacer/mini leaderboard"))]
    report = mirror(records, [board(records)], tracking_uri=uri)
    assert (report.trials, report.kept, report.rows_written, report.rows_removed) == (0, 6, 0, 0)
    after = [run.to_dictionary() for run in (*runs(uri, "pacer/mini"), *runs(uri, "pacer/mini leaderboard"))]
    assert before == after


def test_only_what_is_missing_is_written(uri):
    records = table(TIMES)
    mirror(records[:4], tracking_uri=uri)
    assert mirror(records, tracking_uri=uri).trials == 2
    assert mirror(records[:3], tracking_uri=uri).trials == 0  # fewer records take nothing away
    assert len(runs(uri, "pacer/mini", "trial")) == 6


def test_what_its_time_does_not_reach_to_is_left_to_the_next_call(uri, monkeypatch):
    records = table(TIMES)
    report = mirror(records, [board(records)], tracking_uri=uri, patience_s=0.0)
    assert (report.trials, report.behind, report.rows_written, report.rows_behind) == (0, 6, 0, 3)
    seconds = iter(range(100))
    monkeypatch.setattr(mirrors.time, "monotonic", lambda: next(seconds))  # one at each look
    calls = [mirror(records, tracking_uri=uri, patience_s=4) for _ in range(4)]
    assert sum(part.trials for part in calls) == 6
    assert all(part.trials + part.kept + part.behind == 6 for part in calls)
    assert 0 < calls[0].behind < 6
    assert calls[-1].behind == 0
    assert len(runs(uri, "pacer/mini", "trial")) == 6


def test_a_record_of_an_older_version_is_mirrored_once(uri, tmp_path):
    """Its run is named by the line that the version then would have written, not by the line that is on disk."""
    store = RecordStore(tmp_path, "mini")
    fields = json.loads(to_json(record("muon", "digits")))
    del fields["digest"], fields["worker"]
    store.folder.mkdir()
    store.path.write_text(json.dumps(fields) + "\n")
    assert mirror(store.read()[0], tracking_uri=uri).trials == 1
    (brief,), _ = store.brief()
    assert brief.name != stored(brief.whole()).name
    report = mirror([brief], tracking_uri=uri)
    assert (report.trials, report.kept) == (0, 1)


def test_trials_of_a_store_are_mirrored_whole(uri, tmp_path):
    store = RecordStore(tmp_path, "mini")
    store.append(record("muon", "digits", 2.5, values=(0.2, 0.5, 0.6, 0.95)))
    assert mirror(store.brief()[0], tracking_uri=uri).trials == 1
    (trial,) = runs(uri, "pacer/mini", "trial")
    assert len(MlflowClient(uri).get_metric_history(trial.info.run_id, "curve/validation")) == 4
    assert trial.data.tags["ledger"] == "setup 0.50 s, training 2.50 s"
    assert mirror(store.read()[0], tracking_uri=uri).kept == 1


def test_a_trial_that_was_left_half_written_is_completed(uri):
    records = table(TIMES)
    mirror(records, tracking_uri=uri)
    client = MlflowClient(uri)
    (parent,) = (run for run in runs(uri, "pacer/mini", "submission") if run.info.run_name == "muon")
    trial = next(r for r in runs(uri, "pacer/mini", "trial") if r.data.tags["submission"] == "muon")
    client.update_run(trial.info.run_id, "RUNNING")
    client.delete_tag(parent.info.run_id, "pacer.state")
    assert mirror(records, tracking_uri=uri).trials == 1
    assert client.get_run(trial.info.run_id).info.status == "FINISHED"
    assert len(client.get_metric_history(trial.info.run_id, "curve/validation")) == 2
    assert len(runs(uri, "pacer/mini", "trial")) == 6


def test_trials_follow_when_their_parent_was_deleted(uri):
    records = table({"muon": TIMES["muon"]})
    mirror(records, tracking_uri=uri)
    (parent,) = runs(uri, "pacer/mini", "submission")
    MlflowClient(uri).delete_run(parent.info.run_id)
    assert mirror(records, tracking_uri=uri).trials == 0
    (parent,) = runs(uri, "pacer/mini", "submission")
    assert {r.data.tags["mlflow.parentRunId"] for r in runs(uri, "pacer/mini", "trial")} == {parent.info.run_id}


def test_a_new_board_updates_rows_in_place_and_removes_those_that_are_gone(uri):
    records = table(TIMES)
    mirror(records, [board(records)], tracking_uri=uri)
    before = rows(uri)
    faster = table({**TIMES, "muon": {"digits": 3, "text": 9}})
    faster = [r for r in faster if r.submission != "sgd"]
    report = mirror(faster, [board(faster)], tracking_uri=uri)
    after = rows(uri)
    assert report.rows_removed == 1
    assert set(after) == {"nadamw", "muon"}
    assert after["muon"].info.run_id == before["muon"].info.run_id
    assert after["muon"].data.metrics["digits s"] == 3
    assert after["muon"].data.metrics["score"] > before["muon"].data.metrics["score"]


def test_a_time_does_not_outlive_a_new_miss(uri):
    mirror([], [board(table(TIMES))], tracking_uri=uri)
    mirror([], [board(table({**TIMES, "muon": {"digits": None, "text": 9}}))], tracking_uri=uri)
    assert "digits s" not in rows(uri)["muon"].data.metrics
    assert len(rows(uri)) == 3


def test_boards_of_other_hardware_or_scores_have_leaderboards_of_their_own(uri):
    here, there = table(TIMES), table(TIMES, fingerprint="gpu-1", hardware="1 x Some GPU")
    boards = [board(here), board(there, fingerprint="gpu-1"), board(here, by="steps")]
    report = mirror(here + there, boards, tracking_uri=uri)
    names = [leaderboard.name for leaderboard in report.leaderboards]
    assert names[0] == "pacer/mini leaderboard"
    assert names[1:] == [
        "pacer/mini leaderboard (self, anchored by time, gpu-1)",
        "pacer/mini leaderboard (self, anchored by steps, cpu-2)",
    ]
    assert "digits steps" in rows(uri, names[2])["muon"].data.metrics
    assert mirror(here + there, boards, tracking_uri=uri).rows_written == 0


def test_a_deleted_leaderboard_comes_back(uri):
    made = board(table(TIMES))
    (leaderboard,) = mirror([], [made], tracking_uri=uri).leaderboards
    MlflowClient(uri).delete_experiment(leaderboard.experiment_id)
    mirror([], [made], tracking_uri=uri)
    assert len(rows(uri)) == 3


def test_creating_a_store_is_quiet(tmp_path, capfd):
    mirror([], tracking_uri=default_uri(tmp_path / "new"))
    assert capfd.readouterr() == ("", "")


class _Broken(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500, "broken on purpose")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def broken_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://user:secret@127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_answers_errors_is_reported_within_seconds(broken_server):
    start = time.monotonic()
    with pytest.raises(MirrorError, match="records are safe") as caught:
        mirror(table(TIMES), tracking_uri=broken_server)
    assert time.monotonic() - start < 20
    assert "secret" not in str(caught.value)


def test_a_server_that_is_down_is_reported_within_seconds():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        start = time.monotonic()
        with pytest.raises(MirrorError, match="MLFLOW_TRACKING_URI"):
            mirror(table(TIMES), tracking_uri=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert time.monotonic() - start < 20


def test_a_file_that_is_no_store_is_reported(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is not a database, whatever its name says" * 100)
    with pytest.raises(MirrorError, match="records are safe"):
        mirror(table(TIMES), tracking_uri=default_uri(tmp_path))


def test_a_server_for_other_machines_must_be_asked_for(tmp_path):
    with pytest.raises(UsageError, match="other machines"):
        serve(tmp_path, host="0.0.0.0")
    with pytest.raises(UsageError, match="nothing to show"):
        serve(tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5399999, 0.54), (12.3456, 12.3), (1234.56, 1235.0), (0, 0.0), (-0.001236, -0.00124)]
)
def test_numbers_are_rounded_for_reading(value, shown):
    assert readable(value) == shown


def test_names_and_texts_fit_mlflow():
    assert legal("β/lr (max)") == "_/lr _max_"
    text = cut("line\n" * 100, 200)
    assert len(text) <= 200
    assert "board.md" in text

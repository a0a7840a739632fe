"""Records and boards -> MLflow: a copy to look at; the records on disk stay the source of truth.

An experiment `pacer/SUITE` holds a parent run a submission with its trials nested under it, and a run
`leaderboard` with the charts of each board. An experiment `pacer/SUITE leaderboard` holds nothing but the board's
rows, a run each.
`mirror` writes only what is missing there: 36 trials of 20 evaluations take about 3 s of CPU and a call that finds
nothing to do 0.1 s, beside 3 s to import MLflow and 3 s to create a store (2-core cloud machine, MLflow 3.17, n = 3).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

# Read by MLflow as it is imported: nothing that Pacer does may contact a host that the user did not name.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ.get("MLFLOW_DISABLE_TELEMETRY", "true")
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from harness.errors import PacerError
from harness.records import Evaluation, Outcome, Record, to_json
from scoring.board import Board, Cell, Row
from scoring.charts import profile_html, profile_png, scores_png
from scoring.tables import as_csv, as_markdown

VIEW = "board"  # the key of the shared view that a leaderboard's link opens
_NOTE = "mlflow.note.content"
_PARENT = "mlflow.parentRunId"
_BATCH = 1000  # metrics in one request, the most that MLflow takes
_SMALL_BATCH = 100  # parameters or tags in one request, likewise
_LOCK_PATIENCE_S = 120


class MirrorError(PacerError):
    """MLflow could not be reached or refused; the records are safe, and the next call mirrors what is missing."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Where a board is in MLflow. `charts`: id of the run that holds its table and charts."""

    name: str
    experiment_id: str
    charts_experiment_id: str
    charts: str


@dataclass(frozen=True, kw_only=True)
class MirrorReport:
    """What one call of `mirror` wrote. `kept`: trials that were there already."""

    trials: int
    kept: int
    rows_written: int
    rows_removed: int
    leaderboards: tuple[Leaderboard, ...]


def default_uri(results: Path) -> str:
    """The store that a results folder has of its own: an SQLite file in it."""
    return f"sqlite:///{results.resolve() / 'mlflow.db'}"


def leaderboard_url(base_url: str, experiment_id: str, key: str = VIEW) -> str:
    """The address that opens an experiment's runs with the columns and the order that were stored under `key`."""
    base = base_url.rstrip("/")
    view = f"viewStateShareKey={key}&compareRunsMode=TABLE&workflowType=machine_learning"
    return f"{base}/#/experiments/{experiment_id}/runs?{view}"


def mirror(records: Sequence[Record], boards: Iterable[Board] = (), *, tracking_uri: str) -> MirrorReport:
    """Makes the MLflow store at `tracking_uri` show these records and boards; a second call changes nothing.

    Trials are only ever added. The rows of a board replace those of the board of the same suite, ruleset, hardware
    and kind of score. Raises MirrorError.
    """
    database = _sqlite_file(tracking_uri)
    try:
        with _patience(), _quiet(), _exclusive(database):
            artifacts = database.parent / "mlartifacts" if database else None
            store = _Store(MlflowClient(tracking_uri, registry_uri=tracking_uri), artifacts)
            trials, kept = _mirror_trials(store, records)
            written, removed, leaderboards = 0, 0, []
            for board in boards:
                own = [r for r in records if _board_of(r) == (board.suite, board.ruleset, board.fingerprint)]
                leaderboard, changed, gone = _mirror_board(store, board, own)
                leaderboards.append(leaderboard)
                written, removed = written + changed, removed + gone
    except (MlflowException, SQLAlchemyError, OSError) as error:  # requests' errors are OSErrors
        raise MirrorError(
            f"MLflow at {_without_password(tracking_uri)} could not be brought up to date: {_first_line(error)} "
            "The records are safe on disk. Check the address (MLFLOW_TRACKING_URI) and run the same command again: "
            "it mirrors what is missing."
        ) from error
    return MirrorReport(
        trials=trials, kept=kept, rows_written=written, rows_removed=removed, leaderboards=tuple(leaderboards)
    )


def find_leaderboards(tracking_uri: str) -> list[tuple[str, str]]:
    """(name, experiment id) of the leaderboards in a store, newest first. Raises MirrorError."""
    try:
        with _patience(), _quiet():
            client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
            found = client.search_experiments(
                filter_string="tags.`pacer.kind` = 'leaderboard'", order_by=["last_update_time DESC"]
            )
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise MirrorError(
            f"MLflow at {_without_password(tracking_uri)} does not answer: {_first_line(error)} "
            "Check the address (MLFLOW_TRACKING_URI)."
        ) from error
    return [(experiment.name, experiment.experiment_id) for experiment in found]


@dataclass(frozen=True)
class _Store:
    """An MLflow store and the folder that its artifacts go to, None where its server knows."""

    client: MlflowClient
    artifacts: Path | None

    def experiment(self, name: str, tags: Mapping[str, str]) -> Experiment:
        """The experiment of that name with these tags, created or brought back from the bin where need be."""
        found = self.client.get_experiment_by_name(name)
        if found is None:
            folder = None if self.artifacts is None else str(self.artifacts / re.sub(r"\W+", "-", name))
            number = self.client.create_experiment(name, artifact_location=folder, tags=dict(tags))
            return self.client.get_experiment(number)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        self.tag_experiment(found, tags)
        return found

    def tag_experiment(self, experiment: Experiment, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            if experiment.tags.get(key) != value:
                self.client.set_experiment_tag(experiment.experiment_id, key, value)

    def runs(self, experiment_id: str, condition: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id], condition, ViewType.ACTIVE_ONLY, max_results=1000, page_token=token,
                order_by=["attributes.start_time ASC"],
            )  # fmt: skip
            yield from page
            token = page.token
            if not token:
                return

    def log(
        self, run_id: str, metrics: Sequence[Metric] = (), params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Logs any number of values in as few requests as MLflow allows."""
        metrics, labels = list(metrics), [RunTag(key, value) for key, value in (tags or {}).items()]
        settings = [Param(key, value) for key, value in (params or {}).items()]
        while metrics or settings or labels:
            small = _SMALL_BATCH if not (settings and labels) else _SMALL_BATCH // 2
            some, numbers = min(small, len(settings)), min(small, len(labels))
            room = _BATCH - some - numbers  # the limit on the sum of the three is 1000 too
            self.client.log_batch(run_id, metrics[:room], settings[:some], labels[:numbers])
            metrics, settings, labels = metrics[room:], settings[some:], labels[numbers:]


# --- trials ---


def _board_of(record: Record) -> tuple[str, str, str]:
    return record.suite, record.ruleset, record.fingerprint


def _mirror_trials(store: _Store, records: Sequence[Record]) -> tuple[int, int]:
    """Adds the trials that are missing; how many, and how many were there."""
    suites: dict[str, dict[str, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        group = _digest(record.submission, record.ruleset, record.fingerprint)
        suites[record.suite][group][_digest(to_json(record))] = record
    written = kept = 0
    for suite, groups in suites.items():
        experiment = _trials_experiment(store, suite).experiment_id
        parents = {run.data.tags["pacer.group"]: run for run in store.runs(experiment, _kind("submission"))}
        for group, trials in groups.items():
            # One tag on the parent says which trials are there, so that a call with nothing to do lists no trial.
            state = _digest(*sorted(trials))
            parent = parents.get(group)
            if parent is not None and parent.data.tags.get("pacer.state") == state:
                kept += len(trials)
                continue
            present = {
                run.data.tags["pacer.record"]: run
                for run in store.runs(experiment, f"tags.`pacer.member` = '{group}'")
            }
            parent_id = _write_parent(store, experiment, group, parent, list(trials.values()))
            for name, record in trials.items():
                run = present.get(name)
                if run is not None and run.info.status != "RUNNING":
                    kept += 1
                    if run.data.tags.get(_PARENT) != parent_id:  # someone deleted the former parent
                        store.client.set_tag(run.info.run_id, _PARENT, parent_id)
                else:  # a run that still says RUNNING was left half-written: MLflow takes the same values again
                    _write_trial(store, experiment, group, parent_id, name, record, run)
                    written += 1
            store.client.set_tag(parent_id, "pacer.state", state)
    return written, kept


def _trials_experiment(store: _Store, suite: str) -> Experiment:
    columns = ("tags.`workload`", "tags.`outcome`", "metrics.`time_to_target_s`", "metrics.`validation`",
               "metrics.`reached`", "metrics.`trials`", "tags.`failure`")  # fmt: skip
    widths = {"tags.`workload`": 140, "tags.`failure`": 360}
    view = _view(columns, "attributes.start_time", ascending=False, widths=widths)
    view["globalLineChartConfig"] |= {"xAxisKey": "metric", "selectedXAxisMetricKey": "submission_s"}
    return store.experiment(
        f"pacer/{suite}",
        {
            "pacer.kind": "trials",
            "mlflow.experimentKind": "custom_model_development",  # else its page asks what the experiment is
            f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
        },
    )


def _write_parent(store: _Store, experiment: str, group: str, parent: Run | None, records: Sequence[Record]) -> str:
    first = records[0]
    if parent is None:
        parent = store.client.create_run(
            experiment,
            start_time=_ms(min(r.started for r in records)),
            run_name=first.submission,
            tags={
                "pacer.kind": "submission",
                "pacer.group": group,
                "submission": first.submission,
                **_provenance(records),
            },
        )
    run_id = parent.info.run_id
    now = _ms(time.time())
    counts = {"trials": len(records), "reached": sum(r.outcome is Outcome.REACHED for r in records)}
    store.log(run_id, [Metric(name, number, now, 0) for name, number in counts.items()])
    store.client.set_terminated(run_id, "FINISHED", _ms(max(r.ended for r in records)))
    return run_id


def _write_trial(
    store: _Store, experiment: str, group: str, parent: str, name: str, record: Record, run: Run | None
) -> None:
    failure = record.failure
    tags = {
        _PARENT: parent,
        "pacer.record": name,
        "pacer.member": group,
        "submission": record.submission,
        "workload": record.workload,
        "outcome": str(record.outcome),
        "device": record.device,
        "workload_hash": record.workload_hash,
        "submission_hash": record.submission_hash,
        **_provenance([record]),
    }
    if failure is not None:
        place = f" ({failure.file}:{failure.line})" if failure.file else ""
        tags["failure"] = f"{failure.kind} in {failure.hook}{place}: {failure.message}"[:500]
        tags[_NOTE] = f"**{failure.kind}** in `{failure.hook}`{place}: {failure.message[:1000]}\n"
        if failure.traceback:  # its end says most, and a tag holds 8000 characters
            tags[_NOTE] += f"\n```\n{failure.traceback[-6000:]}\n```\n"
    if run is None:
        run = store.client.create_run(
            experiment,
            start_time=_ms(record.started),
            run_name=f"{record.workload}, study {record.study}, trial {record.trial}",
            tags=tags,
        )
    run_id = run.info.run_id
    store.log(run_id, _curves(record) + _results(record), _settings(record))
    if failure is not None and failure.traceback:
        store.client.log_text(run_id, failure.traceback, "traceback.txt")
    status = "FAILED" if record.outcome is Outcome.ERROR else "FINISHED"
    store.client.set_terminated(run_id, status, _ms(record.ended))


def _curves(record: Record) -> list[Metric]:
    """The learning curves, over steps and over submission time.

    MLflow's charts have a whole number as step. `validation` and `train_loss` are over steps, and since
    `submission_s` is logged at the same steps it can be picked as their x axis; `validation_over_ms`, with whole
    milliseconds as its step, shows the curve over time with nothing to pick. The time stamps are submission time
    too, counted from the clock's start, so MLflow's "relative time" never shows evaluation or logging.
    """
    metrics = []
    for evaluation in record.evaluations:
        stamp = _ms(record.clock_started + evaluation.time_s)
        for name, value in _values(evaluation):
            step = _ms(evaluation.time_s) if name == "validation_over_ms" else evaluation.step
            metrics.append(Metric(name, value, stamp, step))
    return metrics


def _values(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    yield "submission_s", evaluation.time_s
    if evaluation.train_loss is not None and math.isfinite(evaluation.train_loss):
        yield "train_loss", evaluation.train_loss
    if evaluation.value is not None:
        yield "validation", evaluation.value
        yield "validation_over_ms", evaluation.value


def _results(record: Record) -> list[Metric]:
    values = [e.value for e in record.evaluations if e.value is not None]
    crossing = record.crossing
    results = {
        "time_to_target_s": crossing and crossing.time_s,
        "steps_to_target": crossing and crossing.step,
        "examples_to_target": crossing and crossing.examples,
        "best_validation": (max(values) if record.higher_is_better else min(values)) if values else None,
        "test": record.test_value,
        "wall_s": record.wall_s,
        **{f"ledger/{account}_s": 0.0 for account, _ in record.ledger},
    }
    for account, seconds in record.ledger:
        results[f"ledger/{account}_s"] += seconds
    stamp = _ms(record.ended)
    return [
        Metric(_legal(name), _readable(value), stamp, 0)
        for name, value in results.items()
        if value is not None and math.isfinite(value)
    ]


def _settings(record: Record) -> dict[str, str]:
    settings: dict[str, Any] = {
        "workload": record.workload,
        "study": record.study,
        "trial": record.trial,
        "seed": record.seed,
        "batch_size": record.batch_size,
        "step_hint": record.step_hint,
        "budget_s": _readable(record.budget_s),
        "metric": record.metric,
        "target": record.target,
        **{f"hp.{name}": value for name, value in record.hp.items()},
    }
    return {_legal(name): str(value)[:6000] for name, value in settings.items()}


def _provenance(records: Sequence[Record]) -> dict[str, str]:
    """Where the records come from. A parent run gets the union of its trials' values."""
    versions = {f"{name} {version}" for record in records for name, version in record.versions.items()}
    return {
        "suite": records[0].suite,
        "ruleset": records[0].ruleset,
        "hardware": records[0].hardware,
        "fingerprint": records[0].fingerprint,
        "code": ", ".join(sorted({record.code for record in records}))[:5000],
        "versions": ", ".join(sorted(versions))[:5000],
    }


# --- boards ---


def _mirror_board(store: _Store, board: Board, records: Sequence[Record]) -> tuple[Leaderboard, int, int]:
    """Writes what changed of a board; where it is, the number of rows written and the number removed."""
    trials_experiment = _trials_experiment(store, board.suite).experiment_id
    charts = _write_charts(store, board, trials_experiment)
    experiment = _board_experiment(store, board)
    number = experiment.experiment_id
    link = f"#/experiments/{trials_experiment}/runs/{charts}/artifacts"
    store.tag_experiment(
        experiment,
        {
            _NOTE: _cut(f"{_headline(board, link)}\n\n{as_markdown(board)}", 20_000),
            f"mlflow.sharedViewState.{VIEW}": json.dumps(_board_view(board)),
            **_board_tags(board),
        },
    )
    present: dict[str, Run] = {}
    removed = 0
    names = {row.submission for row in board.rows}
    for run in store.runs(number, _kind("row")):
        name = run.data.tags["submission"]
        if name in present or name not in names:
            store.client.delete_run(run.info.run_id)
            removed += name not in names
        else:
            present[name] = run
    written = 0
    for row in board.rows:
        own = [r for r in records if r.submission == row.submission]
        written += _write_row(store, number, board, row, own, present.get(row.submission), link)
    leaderboard = Leaderboard(
        name=experiment.name, experiment_id=number, charts_experiment_id=trials_experiment, charts=charts
    )
    return leaderboard, written, removed


def _board_experiment(store: _Store, board: Board) -> Experiment:
    """The board's experiment. The first of a suite has the short name, further ones say what sets them apart."""
    key = _board_key(board)
    found = store.client.search_experiments(filter_string=f"tags.`pacer.board` = '{key}'", max_results=1)
    if found:
        return found[0]
    name = f"pacer/{board.suite} leaderboard"
    taken = store.client.get_experiment_by_name(name)
    if taken is not None and taken.tags.get("pacer.board") != key:
        name += f" ({board.ruleset}, {board.score} by {board.by}, {board.fingerprint})"
    tags = {
        "pacer.kind": "leaderboard",
        "pacer.board": key,
        "mlflow.experimentKind": "custom_model_development",
    }
    return store.experiment(name, tags)


def _write_charts(store: _Store, board: Board, experiment: str) -> str:
    """The run that holds the board's charts and tables, drawn anew only where the board changed; its id.

    It is beside the trials, so that the leaderboard lists nothing but rows.
    """
    key, state = _board_key(board), _digest(json.dumps(board.as_json()), repr(board.profile))
    runs = list(store.runs(experiment, f"{_kind('board')} AND tags.`pacer.board` = '{key}'"))
    if runs and runs[0].data.tags.get("pacer.state") == state:
        return runs[0].info.run_id
    tags = {"pacer.kind": "board", "pacer.board": key}
    run = runs[0] if runs else store.client.create_run(experiment, run_name="leaderboard", tags=tags)
    run_id = run.info.run_id
    markdown = as_markdown(board)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        profile_png(board, folder / "profile.png")
        profile_html(board, folder / "profile.html")
        scores_png(board, folder / "scores.png")
        (folder / "board.csv").write_text(as_csv(board))
        (folder / "board.md").write_text(markdown)
        (folder / "board.json").write_text(json.dumps(board.as_json(), indent=1))
        store.client.log_artifacts(run_id, str(folder))
    store.log(run_id, tags={_NOTE: _cut(markdown, 8000), **_board_tags(board), "pacer.state": state})
    store.client.set_terminated(run_id)
    return run_id


def _board_tags(board: Board) -> dict[str, str]:
    return {
        "suite": board.suite,
        "ruleset": board.ruleset,
        "hardware": board.hardware,
        "fingerprint": board.fingerprint,
        "score kind": f"{board.score} by {board.by}",
        "reference": board.reference,
        "code": ", ".join(board.code)[:5000],
        "studies": str(board.studies),
    }


def _write_row(
    store: _Store, experiment: str, board: Board, row: Row, records: Sequence[Record], run: Run | None, link: str
) -> bool:
    """Writes one row into its run, in place; whether it had changed."""
    values, tags = _row_values(board, row), _row_tags(board, row, link)
    state = _digest(json.dumps(values), json.dumps(tags))
    if run is not None and run.data.tags.get("pacer.state") == state:
        return False
    if run is not None and not run.data.metrics.keys() <= values.keys():
        store.client.delete_run(run.info.run_id)  # MLflow cannot take a metric back, such as the time of a new miss
        run = None
    if run is None:
        started = _ms(min((r.started for r in records), default=time.time()))
        identity = {"pacer.kind": "row", "submission": row.submission}
        run = store.client.create_run(experiment, started, identity, row.submission)
    # MLflow shows the value with the latest stamp: another machine's clock may be ahead of this one's.
    stamp = max(_ms(time.time()), int(run.data.tags.get("pacer.stamp", "0")) + 1)
    store.log(run.info.run_id, [Metric(name, value, stamp, 0) for name, value in values.items()], tags=tags)
    store.client.set_terminated(
        run.info.run_id, "FINISHED", _ms(max((r.ended for r in records), default=time.time()))
    )
    store.log(run.info.run_id, tags={"pacer.stamp": str(stamp), "pacer.state": state})
    return True


def _row_values(board: Board, row: Row) -> dict[str, float]:
    """The row's numbers, rounded for reading, the score last."""
    values: dict[str, float | None] = {
        **{_cell_name(board, name): cell.value for name, cell in row.workloads.items()},
        "speedup": row.speedup,
        "p_ahead": row.p_ahead_of_next and round(row.p_ahead_of_next, 2),
        "tie_group": row.tie_group,
        "rank": row.rank,
        "score_low": round(row.score_low, 3),
        "score_high": round(row.score_high, 3),
        "score": round(row.score, 3),
    }
    return {name: _readable(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _row_tags(board: Board, row: Row, link: str) -> dict[str, str]:
    missed = [name for name, cell in row.workloads.items() if not cell.reached]
    lines = [
        f"Rank {row.rank} with a score of {row.score:.3f} (95 % interval {_interval(row)}). "
        f"[Charts and tables]({link})\n",
        f"| workload | {board.by} to target | x reference | studies that reached | spread | sustained |",
        "|---|---|---|---|---|---|",
        *(_cell_line(name, cell) for name, cell in row.workloads.items()),
        "",
        *(f"* {name}: {failure}" for name, cell in row.workloads.items() for failure in cell.failures),
    ]
    return {
        "interval": _interval(row),
        "missed": ", ".join(missed) if missed else "none",
        _NOTE: _cut("\n".join(lines), 8000),
        **_board_tags(board),
    }


def _headline(board: Board, link: str) -> str:
    """The one line of an experiment's description that shows before it is opened."""
    unit = {"time": "seconds"}.get(board.by, board.by)
    meaning = (
        f"0.5 is level with {board.reference}, 1 is four times as fast on every workload. "
        if board.score == "anchored"
        else ""
    )
    return (
        f"Training algorithms by {unit} to each target, on {board.hardware}. {meaning}"
        f"[Charts, tables and warnings]({link})"
    )


def _cell_line(name: str, cell: Cell) -> str:
    value = "missed" if cell.value is None else f"{_readable(cell.value):g}"
    ratio = "" if cell.ratio is None else f"{cell.ratio:.2f}"
    spread = "" if cell.spread is None else f"{cell.spread:.0%}"
    sustained = {True: "yes", False: "no", None: ""}[cell.sustained]
    return f"| {name} | {value} | {ratio} | {cell.studies_reached} of {cell.studies} | {spread} | {sustained} |"


def _interval(row: Row) -> str:
    return f"{row.score_low:.2f} to {row.score_high:.2f}"


def _cell_name(board: Board, workload: str) -> str:
    """A column's name: the workload and the unit of its numbers, short enough for a column."""
    return _legal(f"{workload} {({'time': 's'}).get(board.by, board.by)}")


def _board_key(board: Board) -> str:
    return _digest(board.suite, board.ruleset, board.fingerprint, board.score, board.by)


def _board_view(board: Board) -> dict[str, Any]:
    cells = [_cell_name(board, workload) for workload in board.workloads]
    columns = {
        "metrics.`rank`": 70,
        "metrics.`score`": 80,
        "tags.`interval`": 115,
        "metrics.`p_ahead`": 90,
        "metrics.`speedup`": 90,
        **{f"metrics.`{name}`": max(80, 34 + 7 * len(name)) for name in cells},
        "tags.`missed`": 160,
    }
    return _view(tuple(columns), "metrics.`score`", ascending=False, widths=columns)


def _view(columns: Sequence[str], order: str, *, ascending: bool, widths: Mapping[str, int]) -> dict[str, Any]:
    """The state of MLflow's runs page, as its own "share" button stores it (read from the frontend of 3.17)."""
    return {
        "searchFilter": "",
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": [*columns, "duration"],  # two columns cannot be hidden: "Created" stays first
        "columnWidths": {"runDateAndNestInfo": 125, **widths},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


# --- small things ---


def _kind(kind: str) -> str:
    return f"tags.`pacer.kind` = '{kind}'"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _readable(value: float) -> float:
    """Three significant digits, and every digit before the point."""
    if value == 0:
        return 0.0
    return float(round(value, max(0, 2 - math.floor(math.log10(abs(value))))))


def _legal(name: str) -> str:
    """The name with what MLflow does not allow in one replaced."""
    return re.sub(r"[^\w\-./ :]", "_", name, flags=re.ASCII)[:250]


def _cut(text: str, length: int) -> str:
    """The text, cut at a line's end where it is longer than a tag can be."""
    if len(text) <= length:
        return text
    more = "\n\n(cut here: the whole is in board.md, beside the charts)"
    return text[: length - len(more)].rpartition("\n")[0] + more


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500].rstrip(".") + "."


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", uri)


def _sqlite_file(tracking_uri: str) -> Path | None:
    """The file of an SQLite store, None for another kind of store."""
    parts = urlsplit(tracking_uri)
    return Path(parts.path[1:]).resolve() if parts.scheme.split("+")[0] == "sqlite" else None


@contextmanager
def _exclusive(database: Path | None) -> Iterator[None]:
    """Two benches that end at once take turns: each would add what the other is just adding."""
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(database.with_name(f".{database.name}.lock"), timeout=_LOCK_PATIENCE_S):
            yield
    except Timeout as error:
        raise MirrorError(
            f"{database} was being written by another process for {_LOCK_PATIENCE_S} s. The records are safe on "
            "disk. Run the same command again once the other one has ended."
        ) from error


@contextmanager
def _patience() -> Iterator[None]:
    """MLflow's own settings try an address that is down for many minutes; ours give up within seconds.

    What the user has set stays. MLflow reads these at each request, and they are taken back at the end.
    """
    ours = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
    added = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the set-up of an SQLite store and retried requests from filling the terminal."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

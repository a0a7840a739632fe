"""Boards -> MLflow: an experiment whose runs are the rows of a leaderboard, and a run with the board's charts."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scoring import escape
from scoring.board import Board, Cell, Row
from scoring.export import export
from scoring.mirror_trials import trials_experiment
from scoring.mlflow_store import (
    NOTE,
    VIEW,
    Experiment,
    Metric,
    Run,
    Store,
    cut,
    digest,
    kind,
    legal,
    ms,
    readable,
    view,
)
from scoring.records import Record
from scoring.rules import RULES
from scoring.tables import as_markdown


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Where a board is in MLflow. `charts`: id of the run that holds its table and charts."""

    name: str
    experiment_id: str
    charts_experiment_id: str
    charts: str


def mirror_board(
    store: Store, board: Board, records: Sequence[Record], over: Callable[[], bool]
) -> tuple[Leaderboard, int, int, int]:
    """Writes what changed of a board, its best rows first, until `over`; where it is, how many rows were written,
    how many removed, and how many are still to come."""
    trials = trials_experiment(store, board.suite).experiment_id
    charts = _write_charts(store, board, trials)
    experiment = _board_experiment(store, board)
    number = experiment.experiment_id
    link = f"#/experiments/{trials}/runs/{charts}/artifacts/profile.html"
    store.tag_experiment(
        experiment,
        {
            NOTE: cut(f"{_headline(board, link)}\n\n{as_markdown(board)}", 20_000),
            f"mlflow.sharedViewState.{VIEW}": json.dumps(_board_view(board)),
            **_board_tags(board),
        },
    )
    present: dict[str, Run] = {}
    removed = 0
    names = {row.submission for row in board.rows}
    for run in store.runs(number, kind("row")):
        name = run.data.tags["submission"]
        if name in present or name not in names:
            store.client.delete_run(run.info.run_id)
            removed += name not in names
        else:
            present[name] = run
    own: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        own[record.submission].append(record)
    page = _Page(board=board, experiment=number, link=link)
    written = behind = 0
    for row in board.rows:
        if over():
            behind += 1
        else:
            run = present.get(row.submission)
            written += _write_row(store, page, row, own[row.submission], run)
    leaderboard = Leaderboard(
        name=experiment.name, experiment_id=number, charts_experiment_id=trials, charts=charts
    )
    return leaderboard, written, removed, behind


def _board_experiment(store: Store, board: Board) -> Experiment:
    """The board's experiment. The first of a suite has the short name, further ones say what sets them apart."""
    key = _board_key(board)
    experiments = store.client.search_experiments(filter_string=f"tags.`pacer.board` = '{key}'", max_results=1)
    if experiments:
        return experiments[0]
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


def _write_charts(store: Store, board: Board, experiment: str) -> str:
    """The run that holds the board's charts and tables, drawn anew only where the board changed; its id.

    It is in the experiment of the trials, so that the leaderboard lists nothing but rows.
    """
    key, state = _board_key(board), digest(json.dumps(board.as_json()), repr(board.profile))
    runs = list(store.runs(experiment, f"{kind('board')} AND tags.`pacer.board` = '{key}'"))
    if runs and runs[0].data.tags.get("pacer.state") == state:
        return runs[0].info.run_id
    tags = {"pacer.kind": "board", "pacer.board": key}
    run = runs[0] if runs else store.client.create_run(experiment, run_name="leaderboard", tags=tags)
    run_id = run.info.run_id
    with tempfile.TemporaryDirectory() as temporary:
        export(board, Path(temporary))
        store.client.log_artifacts(run_id, temporary)
    store.log(run_id, tags={NOTE: cut(as_markdown(board), 8000), **_board_tags(board), "pacer.state": state})
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


@dataclass(frozen=True, kw_only=True)
class _Page:
    """A board's experiment, and the address of its charts within MLflow."""

    board: Board
    experiment: str
    link: str


def _write_row(store: Store, page: _Page, row: Row, records: Sequence[Record], run: Run | None) -> bool:
    """Writes one row into its run, in place; whether it had changed."""
    values, tags = _row_values(page.board, row), _row_tags(page.board, row, page.link)
    state = digest(json.dumps(values), json.dumps(tags))
    if run is not None and run.data.tags.get("pacer.state") == state:
        return False
    if run is not None and not run.data.metrics.keys() <= values.keys():
        store.client.delete_run(run.info.run_id)  # MLflow cannot take a metric back, such as the time of a new miss
        run = None
    if run is None:
        started = ms(min((r.started for r in records), default=time.time()))
        identity = {"pacer.kind": "row", "submission": row.submission}
        run = store.client.create_run(page.experiment, started, identity, row.submission)
    # MLflow shows the value with the latest stamp: another machine's clock may be ahead of this one's.
    stamp = max(ms(time.time()), int(run.data.tags.get("pacer.stamp", "0")) + 1)
    store.log(run.info.run_id, [Metric(name, value, stamp, 0) for name, value in values.items()], tags=tags)
    ended = max(run.info.start_time, *(ms(r.ended) for r in records)) if records else run.info.start_time
    store.client.set_terminated(run.info.run_id, "FINISHED", ended)
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
        "score_low": row.score_low and round(row.score_low, 3),
        "score_high": row.score_high and round(row.score_high, 3),
    }
    shown = {name: readable(value) for name, value in values.items() if value is not None and math.isfinite(value)}
    return shown | {"score": round(row.score, RULES[board.score].digits)}


def _row_tags(board: Board, row: Row, link: str) -> dict[str, str]:
    trials = f"{link.partition('/runs')[0]}/runs?searchFilter=" + quote(f"tags.submission = '{row.submission}'")
    missed = [name for name, cell in row.workloads.items() if not cell.reached and cell.unsuitable is None]
    digits = RULES[board.score].digits
    lines = [
        f"Rank {row.rank} with a score of {row.score:.{digits}f} (95 % interval {_interval(row)}). "
        f"[Charts and tables]({link}), [its trials]({trials}).\n",
        f"| workload | {board.by} to target | x reference | studies that reached | spread | sustained |",
        "|---|---|---|---|---|---|",
        *(_cell_line(name, cell) for name, cell in row.workloads.items()),
        "",
        *(
            f"* {escape.markdown(f'{name}: {failure}')}"
            for name, cell in row.workloads.items()
            for failure in cell.failures
        ),
    ]
    return {
        "interval": _interval(row),
        "missed": ", ".join(missed) if missed else "none",
        NOTE: cut("\n".join(lines), 8000),
        **_board_tags(board),
    }


def _headline(board: Board, link: str) -> str:
    """The one line of an experiment's description that shows before it is opened."""
    unit = {"time": "seconds"}.get(board.by, board.by)
    reference = escape.markdown(board.reference)
    meaning = {
        "anchored": f"0.5 is level with {reference}, 1 is four times as fast on every workload. ",
        "ladder": f"The score is the speed-up over {reference} on the way to the target: 2 is twice as fast. ",
    }.get(board.score, "")
    return (
        f"Training algorithms by {unit} to each target, on {escape.markdown(board.hardware)}. {meaning}"
        f"[Charts, tables and warnings]({link})"
    )


def _cell_line(name: str, cell: Cell) -> str:
    value = "missed" if cell.value is None else f"{readable(cell.value):g}"
    if cell.unsuitable is not None:
        value = f"does not apply: {escape.markdown(cell.unsuitable)}"
    ratio = "" if cell.ratio is None else f"{cell.ratio:.2f}"
    spread = "" if cell.spread is None else f"{cell.spread:.0%}"
    sustained = {True: "yes", False: "no", None: ""}[cell.sustained]
    studies = "" if cell.studies_reached is None else f"{cell.studies_reached} of {cell.studies}"
    return f"| {escape.markdown(name)} | {value} | {ratio} | {studies} | {spread} | {sustained} |"


def _interval(row: Row) -> str:
    if row.score_low is None or row.score_high is None:
        return "not known"
    return f"{row.score_low:.2f} to {row.score_high:.2f}"


def _cell_name(board: Board, workload: str) -> str:
    """A column's name: the workload and the unit of its numbers, short enough for a column."""
    return legal(f"{workload} {({'time': 's'}).get(board.by, board.by)}")


def _board_key(board: Board) -> str:
    facts = (board.suite, board.ruleset, board.fingerprint, board.score, board.by)
    return digest(*facts, *(("interpolated",) if board.interpolated else ()))


def _board_view(board: Board) -> dict[str, Any]:
    cells = [_cell_name(board, workload) for workload in board.workloads]
    columns = {
        "metrics.`rank`": 64,
        "metrics.`score`": 80,
        "tags.`interval`": 110,
        "metrics.`p_ahead`": 84,
        "metrics.`speedup`": 86,
        **{f"metrics.`{name}`": max(80, 34 + 7 * len(name)) for name in cells},
        "tags.`missed`": 160,
    }
    return view(tuple(columns), "metrics.`score`", ascending=False, widths=columns)

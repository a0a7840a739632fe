"""Records and boards -> MLflow: a copy to look at; the records on disk stay the source of truth.

An experiment `pacer/SUITE` holds a parent run a submission with its trials nested under it, and a run
`leaderboard` with the charts of each board. An experiment `pacer/SUITE leaderboard` holds nothing but the board's
rows, a run each.
`mirror` writes only what is missing there: 36 trials of 20 evaluations take about 3 s of CPU and a call that finds
nothing to do 0.1 s, beside 3 s to import MLflow and 3 s to create a store (2-core cloud machine, MLflow 3.17, n = 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records import Record
from scoring.board import Board
from scoring.mirror_board import Leaderboard, mirror_board
from scoring.mirror_trials import board_of, mirror_trials
from scoring.mlflow_store import (
    ERRORS, VIEW, MirrorError, Store, connect, exclusive, first_line, patience, quiet, sqlite_file, without_password,
)  # fmt: skip

__all__ = [
    "VIEW", "Leaderboard", "MirrorError", "MirrorReport", "default_uri", "find_leaderboards", "leaderboard_url",
    "mirror",
]  # fmt: skip


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
    database = sqlite_file(tracking_uri)
    try:
        with patience(), quiet(), exclusive(database):
            artifacts = database.parent / "mlartifacts" if database else None
            store = Store(MlflowClient(tracking_uri, registry_uri=tracking_uri), artifacts)
            trials, kept = mirror_trials(store, records)
            written, removed, leaderboards = 0, 0, []
            for board in boards:
                own = [r for r in records if board_of(r) == (board.suite, board.ruleset, board.fingerprint)]
                leaderboard, changed, gone = mirror_board(store, board, own)
                leaderboards.append(leaderboard)
                written, removed = written + changed, removed + gone
    except ERRORS as error:
        raise MirrorError(
            f"MLflow at {without_password(tracking_uri)} could not be brought up to date: {first_line(error)} "
            "The records are safe on disk. Check the address (MLFLOW_TRACKING_URI) and run the same command again: "
            "it mirrors what is missing."
        ) from error
    return MirrorReport(
        trials=trials, kept=kept, rows_written=written, rows_removed=removed, leaderboards=tuple(leaderboards)
    )


def find_leaderboards(tracking_uri: str) -> list[tuple[str, str]]:
    """(name, experiment id) of the leaderboards in a store, newest first. Raises MirrorError."""
    try:
        with patience(), quiet():
            client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
            found = client.search_experiments(
                filter_string="tags.`pacer.kind` = 'leaderboard'", order_by=["last_update_time DESC"]
            )
    except ERRORS as error:
        raise MirrorError(
            f"MLflow at {without_password(tracking_uri)} does not answer: {first_line(error)} "
            "Check the address (MLFLOW_TRACKING_URI)."
        ) from error
    return [(experiment.name, experiment.experiment_id) for experiment in found]


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
    database = sqlite_file(tracking_uri)
    try:
        with patience(), quiet(), exclusive(database):
            artifacts = database.parent / "mlartifacts" if database else None
            store = Store(MlflowClient(tracking_uri, registry_uri=tracking_uri), artifacts)
            trials, kept = mirror_trials(store, records)
            written, removed, leaderboards = 0, 0, []
            for board in boards:
                own = [r for r in records if board_of(r) == (board.suite, board.ruleset, board.fingerprint)]
                leaderboard, changed, gone = mirror_board(store, board, own)
                leaderboards.append(leaderboard)
                written, removed = written + changed, removed + gone
    except ERRORS as error:
        raise MirrorError(
            f"MLflow at {without_password(tracking_uri)} could not be brought up to date: {first_line(error)} "
            "The records are safe on disk. Check the address (MLFLOW_TRACKING_URI) and run the same command again: "
            "it mirrors what is missing."
        ) from error
    return MirrorReport(
        trials=trials, kept=kept, rows_written=written, rows_removed=removed, leaderboards=tuple(leaderboards)
    )


def find_leaderboards(tracking_uri: str) -> list[tuple[str, str]]:
    """(name, experiment id) of the leaderboards in a store, newest first. Raises MirrorError."""
    try:
        with patience(), quiet():
            client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
            found = client.search_experiments(
                filter_string="tags.`pacer.kind` = 'leaderboard'", order_by=["last_update_time DESC"]
            )
    except ERRORS as error:
        raise MirrorError(
            f"MLflow at {without_password(tracking_uri)} does not answer: {first_line(error)} "
            "Check the address (MLFLOW_TRACKING_URI)."
        ) from error
    return [(experiment.name, experiment.experiment_id) for experiment in found]

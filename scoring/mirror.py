"""Records and boards -> MLflow: a copy to look at; the records on disk stay the source of truth.

An experiment `pacer/SUITE` holds a parent run a submission with its trials nested under it, and a run
`leaderboard` with the charts of each board. An experiment `pacer/SUITE leaderboard` holds nothing but the board's
rows, a run each.

`mirror` writes only what is missing there. CPU seconds on a 2-core cloud machine with MLflow 3.17 (n = 3): 1.6 for
36 trials of 20 evaluations, 1.2 for a board of 6 rows with its charts, 0.1 for a call that finds nothing to do;
beside 3 to import MLflow and the charts, and 1.6 to create a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records import Record
from scoring.board import Board
from scoring.mirror_board import Leaderboard, mirror_board
from scoring.mirror_trials import board_of, mirror_trials
from scoring.mlflow_store import VIEW, MirrorError, connected, kind

__all__ = ["Leaderboard", "MirrorError", "MirrorReport"]  # defined elsewhere or here, used by callers
__all__ += ["default_uri", "find_leaderboards", "leaderboard_url", "mirror"]


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
    with connected(tracking_uri) as store:
        trials, kept = mirror_trials(store, records)
        written, removed, leaderboards = 0, 0, []
        for board in boards:
            own = [r for r in records if board_of(r) == (board.suite, board.ruleset, board.fingerprint)]
            leaderboard, changed, gone = mirror_board(store, board, own)
            leaderboards.append(leaderboard)
            written, removed = written + changed, removed + gone
    return MirrorReport(
        trials=trials, kept=kept, rows_written=written, rows_removed=removed, leaderboards=tuple(leaderboards)
    )


def find_leaderboards(tracking_uri: str) -> list[tuple[str, str]]:
    """(name, experiment id) of the leaderboards in a store, newest first. Raises MirrorError."""
    with connected(tracking_uri) as store:
        found = store.client.search_experiments(
            filter_string=kind("leaderboard"), order_by=["last_update_time DESC"]
        )
    return [(experiment.name, experiment.experiment_id) for experiment in found]

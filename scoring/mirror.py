"""Records and boards -> MLflow: a copy to look at; the records on disk stay the source of truth.

An experiment `pacer/SUITE` holds a parent run a submission with its trials nested under it, and a run
`leaderboard` with the charts of each board. An experiment `pacer/SUITE leaderboard` holds nothing but the board's
rows, a run each.

It runs after a bench, never during it: what it takes of a core would be taken from the trials that are timed. With
100,000 trials it needs an hour, so it has a time limit, says how far it came, and the next call goes on.

`mirror` writes only what is missing there. CPU seconds on a 2-core cloud machine with MLflow 3.17 (n = 3): 1.6 for
36 trials of 20 evaluations, 1.2 for a board of 6 rows with its charts, 0.1 for a call that finds nothing to do;
and 3 to import MLflow and the charts, 1.6 to create a store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scoring.board import Board
from scoring.mirror_board import Leaderboard, mirror_board
from scoring.mirror_trials import board_of, mirror_trials
from scoring.mlflow_store import VIEW, MirrorError, connected, kind
from scoring.records import Record, Stored, stored

__all__ = ["Leaderboard", "MirrorError", "MirrorReport"]  # defined elsewhere or here, used by callers
__all__ += ["default_uri", "find_leaderboards", "leaderboard_url", "mirror"]


@dataclass(frozen=True, kw_only=True)
class MirrorReport:
    """What one call of `mirror` wrote. `kept`: trials that were there already. `behind`, `rows_behind`: trials and
    rows that its time did not reach to."""

    trials: int = 0
    kept: int = 0
    behind: int = 0
    rows_written: int = 0
    rows_removed: int = 0
    rows_behind: int = 0
    leaderboards: tuple[Leaderboard, ...] = ()


def default_uri(results: Path) -> str:
    """The store that a results folder has of its own: an SQLite file in it."""
    return f"sqlite:///{results.resolve() / 'mlflow.db'}"


def leaderboard_url(base_url: str, experiment_id: str, key: str = VIEW) -> str:
    """The address that opens an experiment's runs with the columns and the order that were stored under `key`."""
    base = base_url.rstrip("/")
    view = f"viewStateShareKey={key}&compareRunsMode=TABLE&workflowType=machine_learning"
    return f"{base}/#/experiments/{experiment_id}/runs?{view}"


def mirror(
    records: Sequence[Record | Stored],
    boards: Iterable[Board] = (),
    *,
    tracking_uri: str,
    patience_s: float = math.inf,
) -> MirrorReport:
    """Makes the MLflow store at `tracking_uri` show these boards and records; a second call changes nothing.

    Trials are only ever added. The rows of a board replace those of the board of the same suite, ruleset, hardware
    and kind of score. Stops after `patience_s` seconds; another call goes on from there. Raises MirrorError.
    """
    trials = [stored(each) if isinstance(each, Record) else each for each in records]
    until = time.monotonic() + patience_s

    def over() -> bool:
        return time.monotonic() >= until

    with connected(tracking_uri) as store:
        written = removed = rows_behind = 0
        leaderboards = []
        for board in boards:  # before the trials, as it is looked at first
            named = board.suite, board.ruleset, board.fingerprint
            own = [each.record for each in trials if board_of(each.record) == named]
            leaderboard, changed, gone, left = mirror_board(store, board, own, over)
            leaderboards.append(leaderboard)
            written, removed, rows_behind = written + changed, removed + gone, rows_behind + left
        added, kept, behind = mirror_trials(store, trials, over)
    return MirrorReport(
        trials=added,
        kept=kept,
        behind=behind,
        rows_written=written,
        rows_removed=removed,
        rows_behind=rows_behind,
        leaderboards=tuple(leaderboards),
    )


def find_leaderboards(tracking_uri: str) -> list[tuple[str, str]]:
    """(name, experiment id) of the leaderboards in a store, newest first. Raises MirrorError."""
    with connected(tracking_uri) as store:
        experiments = store.client.search_experiments(
            filter_string=kind("leaderboard"), order_by=["last_update_time DESC"]
        )
    return [(experiment.name, experiment.experiment_id) for experiment in experiments]

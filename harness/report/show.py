"""Shows a board: in the terminal, as files beside the records, and in MLflow."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from rich.console import Console

from harness.algoperf.facts import of_suite
from harness.protocol.defaults import DEFAULT_MIRROR_S
from pacer.errors import UsageError
from scoring import compare
from scoring.board import Board, BoardQuery, build_board
from scoring.names import LADDER, needs_targets
from scoring.records import RecordStore
from scoring.records.brief import Stored
from scoring.records.layout import SINGLE, Layout
from scoring.rules import RULES
from scoring.tables import as_text

_MANY = 200


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """Where a board is shown: printed, as JSON or not, under one score or all `compared`; and in MLflow at
    `tracking_uri`, None for a file beside the records, for `mirror_s` seconds at most, unless not `mirrored`."""

    compared: bool = False
    as_json: bool = False
    mirrored: bool = True
    mirror_s: float = DEFAULT_MIRROR_S
    tracking_uri: str | None = None


class _Changes(TypedDict, total=False):
    """What of a question may change."""

    workloads: tuple[str, ...] | None
    by: str
    score: str


@dataclass(frozen=True)
class Boards:
    """The records of a suite of one layout, and the question that a board of them answers.

    `everything` names all workloads that its whole board has. `warnings` are about the records.
    """

    trials: Sequence[Stored]
    query: BoardQuery
    everything: tuple[str, ...]
    warnings: Sequence[str]

    def build(self, **changes: Unpack[_Changes]) -> Board:
        """The board, for a question with some changes."""
        return build_board([trial.record for trial in self.trials], replace(self.query, **changes))

    def whole(self, board: Board) -> Board:
        """The board that files and MLflow show: by time, of all that was ever run, and the variants of this one."""
        if (self.query.by, board.workloads) == ("time", self.everything):
            return board
        return self.build(workloads=self.everything, by="time")


def open_boards(results: Path, query: BoardQuery, layout: Layout = SINGLE) -> Boards:
    """The records to answer a question from. Those of an imported suite are missed elsewhere than others.

    Raises RecordsError where the records cannot be read, UsageError for a score that such trials cannot have.
    """
    if layout.scale:
        if needs_targets(query.score):
            scale = " ".join(layout.scale)
            raise UsageError(f"targets do not hold at {scale}; to rank by whole curves, type: {scale} SCORE=ladder")
        query = replace(query, score=LADDER)  # without trials of the reference, too: there all would be misses
    trials, warnings = RecordStore(results, query.suite).brief()
    # A fingerprint says all of the hardware, the layout included.
    trials = [t for t in trials if query.fingerprint is not None or t.record.layout == layout]
    if layout.settings:
        query = replace(query, remedy=f"run: make bench {' '.join(layout.settings)}")
    records = [trial.record for trial in trials]
    seen = {r.workload for r in records if r.variant_of is None and r.ruleset == query.ruleset}
    if published := of_suite(query.suite):
        # Held-out workloads are variants, which a board of our own leaves out unless they are named.
        seen = {r.workload for r in records}
        query = replace(
            query,
            workloads=query.workloads or published.among(seen) or None,
            remedy=f"read their logs: pacer import-algoperf DIR --version {published.version} "
            f"--ruleset {published.ruleset} --results {results}",
        )
    return Boards(trials, query, tuple(sorted(seen.union(query.workloads or ()))), warnings)


def show_board(
    console: Console,
    results: Path,
    query: BoardQuery,
    presentation: Presentation,
    layout: Layout = SINGLE,
) -> Board:
    """Prints a board, writes the whole one of its suite to files, and brings MLflow up to date; returns the board
    that was asked for. Where scores are compared it only prints.

    Raises RecordsError where there is nothing to show, UsageError for a bad setting.
    """
    boards = open_boards(results, query, layout)
    if presentation.compared:
        return _compare(boards, as_json=presentation.as_json)
    board = boards.build()
    if presentation.as_json:
        facts = {**board.as_json(), "warnings": [*board.warnings, *boards.warnings]}
        print(json.dumps(facts, allow_nan=False, indent=1))
    else:
        print(as_text(board, width=max(100, console.width), next_command="make ui"))
    sys.stdout.flush()
    publish(boards, board, results, console, presentation, layout)
    return board


def publish(
    boards: Boards,
    board: Board,
    results: Path,
    console: Console,
    presentation: Presentation,
    layout: Layout = SINGLE,
) -> None:
    """Writes the whole board of a suite to files and to MLflow; the console says where."""
    from scoring.export import export  # the packages that draw take two seconds to import

    whole, folder = boards.whole(board), board_folder(results, board.suite, layout)
    export(whole, folder)
    console.print(f"Table and charts: {folder}", highlight=False, soft_wrap=True)
    if presentation.mirrored:
        uri = presentation.tracking_uri
        _mirror(boards.trials, whole, results, console, uri, presentation.mirror_s)


def board_folder(results: Path, suite: str, layout: Layout = SINGLE) -> Path:
    """Where the files of a board are."""
    return results / suite / "_".join(["board", *layout.settings])


def _compare(boards: Boards, *, as_json: bool) -> Board:
    if boards.trials and all(trial.record.target is None for trial in boards.trials):
        raise UsageError("none of these trials has a target, so the ladder alone ranks them; leave out --compare")
    run = {trial.record.submission for trial in boards.trials}
    names = [name for name, rule in RULES.items() if not rule.of_curves or boards.query.reference in run]
    compared = [boards.build(score=name) for name in names]
    facts = compare.as_json(compared)
    facts["warnings"] += boards.warnings
    print(json.dumps(facts, allow_nan=False, indent=1) if as_json else compare.as_text(compared))
    return compared[0]


def _mirror(
    trials: Sequence[Stored], whole: Board, results: Path, console: Console, uri: str | None, mirror_s: float
) -> None:
    from scoring.mirror import MirrorError, default_uri, mirror

    doing = f"bringing MLflow up to date with {len(trials)} trials, for {mirror_s:.0f} s at most"
    if not console.is_terminal and len(trials) >= _MANY:
        console.print(doing, highlight=False, soft_wrap=True)
    try:
        with console.status(doing):
            report = mirror(trials, [whole], tracking_uri=uri or default_uri(results), patience_s=mirror_s)
    except MirrorError as error:
        console.print(f"warning: {error}", markup=False)
        return
    if report.behind or report.rows_behind:
        done, wanted = len(trials) - report.behind, f"{len(trials):,} trials"
        if report.rows_behind:
            wanted += f" and {len(whole.rows) - report.rows_behind:,} of {len(whole.rows):,} rows"
        console.print(
            f"MLflow: {done:,} of {wanted} mirrored in {mirror_s:.0f} s; `make leaderboard` goes on",
            highlight=False,
            soft_wrap=True,
        )
    console.print("In the browser: make ui", highlight=False)

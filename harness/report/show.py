"""Shows a board: in the terminal, as files beside the records, and in MLflow."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.algoperf.facts import of_suite
from harness.protocol.defaults import DEFAULT_MIRROR_S
from scoring import compare
from scoring.board import BoardQuery, build_board
from scoring.records import RecordStore
from scoring.records.layout import SINGLE, Layout
from scoring.rules import RULES
from scoring.tables import as_text

_MANY = 200


def show_board(
    console: Console,
    results: Path,
    suite: str,
    ruleset: str,
    *,
    workloads: Sequence[str] | None = None,
    fingerprint: str | None = None,
    score: str = "anchored",
    by: str = "time",
    compared: bool = False,
    as_json: bool = False,
    tracking_uri: str | None = None,
    mirrored: bool = True,
    mirror_s: float = DEFAULT_MIRROR_S,
    layout: Layout = SINGLE,
) -> None:
    """Prints the board of these workloads (None for those seen) on the hardware with this fingerprint (None for the
    one of this layout with the most records); writes the whole
    one to files and brings MLflow up to date, unless `mirrored` is False, for `mirror_s` seconds at most. With
    `compared` it only prints the board under all scores side by side.

    Raises RecordsError where there is nothing to show, UsageError for a bad setting.
    """
    trials, warnings = RecordStore(results, suite).brief()
    # A fingerprint says all of the hardware, the layout included.
    records = [t.record for t in trials if fingerprint is not None or t.record.layout == layout]
    query = BoardQuery(suite=suite, ruleset=ruleset, fingerprint=fingerprint)
    if layout.settings:
        query = replace(query, remedy=f"run: make bench {' '.join(layout.settings)}")
    seen = {r.workload for r in records if r.variant_of is None and r.ruleset == ruleset}
    if published := of_suite(suite):
        # Held-out workloads are variants, which a board of our own leaves out unless they are named.
        seen = {r.workload for r in records}
        workloads = workloads or published.among(seen) or None
        remedy = f"read their logs: .venv/bin/python -m harness import-algoperf DIR --version {published.version} "
        remedy += f"--ruleset {published.ruleset} --results {results}"
        query = replace(query, reference=published.reference, remedy=remedy)
    if compared:
        boards = [build_board(records, replace(query, workloads=workloads, by=by, score=name)) for name in RULES]
        facts = compare.as_json(boards)
        facts["warnings"] += warnings
        print(json.dumps(facts, allow_nan=False, indent=1) if as_json else compare.as_text(boards))
        return
    query = replace(query, score=score)
    board = build_board(records, replace(query, workloads=workloads, by=by))
    if as_json:
        print(json.dumps({**board.as_json(), "warnings": [*board.warnings, *warnings]}, allow_nan=False, indent=1))
    else:
        print(as_text(board, width=max(100, console.width), next_command="make ui"))
    sys.stdout.flush()
    from scoring.export import export  # the packages that draw take two seconds to import

    # What files and MLflow show is the whole board by time: all that was ever run, and the variants of this bench.
    everything = sorted(seen.union(workloads or ()))
    shown = (by, list(board.workloads))
    whole = board if shown == ("time", everything) else build_board(records, replace(query, workloads=everything))
    folder = results / suite / "_".join(["board", *layout.settings])
    export(whole, folder)
    console.print(f"Table and charts: {folder}", highlight=False, soft_wrap=True)
    if not mirrored:
        return
    from scoring.mirror import MirrorError, default_uri, mirror

    doing = f"bringing MLflow up to date with {len(records)} trials, for {mirror_s:.0f} s at most"
    if not console.is_terminal and len(records) >= _MANY:
        console.print(doing, highlight=False, soft_wrap=True)
    try:
        with console.status(doing):
            uri = tracking_uri or default_uri(results)
            report = mirror(trials, [whole], tracking_uri=uri, patience_s=mirror_s)
    except MirrorError as error:
        console.print(f"warning: {error}", markup=False)
    else:
        if report.behind or report.rows_behind:
            done, wanted = len(trials) - report.behind, f"{len(trials):,} trials"
            if report.rows_behind:
                wanted += f" and {len(whole.rows) - report.rows_behind:,} of {len(whole.rows):,} rows"
            told = f"MLflow: {done:,} of {wanted} mirrored in {mirror_s:.0f} s; `make leaderboard` goes on"
            console.print(told, highlight=False, soft_wrap=True)
        console.print("In the browser: make ui", highlight=False)

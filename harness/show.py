"""Shows a board: in the terminal, as files beside the records, and in MLflow."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.algoperf_facts import of_suite
from harness.records import RecordStore
from harness.rules import REFERENCE
from scoring import compare
from scoring.board import build_board
from scoring.export import export
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
    devices: int = 1,
    compiled: bool = False,
) -> None:
    """Prints the board of these workloads (None for those seen) on the hardware with this fingerprint (None for the
    one with the most records), of trials over so many devices and with models `compiled` or not; writes the whole
    one to files and brings MLflow up to date, unless `mirrored` is False. With `compared` it only prints the board
    under all scores side by side.

    Raises RecordsError where there is nothing to show, UsageError for a bad setting.
    """
    records, warnings = RecordStore(results, suite).read()
    records = [record for record in records if (record.devices, record.compiled) == (devices, compiled)]
    build = functools.partial(
        build_board, records, suite=suite, ruleset=ruleset, reference=REFERENCE, fingerprint=fingerprint
    )
    asked = {"DEVICES": devices if devices > 1 else None, "COMPILE": 1 if compiled else None}
    words = [f"{name}={value}" for name, value in asked.items() if value is not None]
    if words:
        build = functools.partial(build, remedy=f"run: make bench {' '.join(words)}")
    seen = {r.workload for r in records if r.variant_of is None and r.ruleset == ruleset}
    if published := of_suite(suite):
        # Held-out workloads are variants, which a board of our own leaves out unless they are named.
        seen = {r.workload for r in records}
        workloads = workloads or published.among(seen) or None
        remedy = f"read their logs: .venv/bin/python -m harness import-algoperf DIR --version {published.version} "
        remedy += f"--ruleset {published.ruleset} --results {results}"
        build = functools.partial(build, reference=published.reference, remedy=remedy)
    if compared:
        boards = [build(workloads=workloads, by=by, score=name) for name in RULES]
        facts = compare.as_json(boards)
        facts["warnings"] += warnings
        print(json.dumps(facts, allow_nan=False, indent=1) if as_json else compare.as_text(boards))
        return
    build = functools.partial(build, score=score)
    board = build(workloads=workloads, by=by)
    if as_json:
        print(json.dumps({**board.as_json(), "warnings": [*board.warnings, *warnings]}, allow_nan=False, indent=1))
    else:
        print(as_text(board, width=max(100, console.width), next_command="make ui"))
    # What files and MLflow show is the whole board by time: all that was ever run, and the variants of this bench.
    whole = build(workloads=sorted(seen.union(workloads or ())))
    folder = results / suite / "_".join(["board", *words])
    export(whole, folder)
    console.print(f"Table and charts: {folder}", highlight=False, soft_wrap=True)
    if not mirrored:
        return
    from scoring.mirror import MirrorError, default_uri, mirror

    doing = f"bringing MLflow up to date with {len(records)} trials (a fresh store takes some minutes a thousand)"
    if not console.is_terminal and len(records) >= _MANY:
        console.print(doing, highlight=False, soft_wrap=True)
    try:
        with console.status(doing):
            mirror(records, [whole], tracking_uri=tracking_uri or default_uri(results))
    except MirrorError as error:
        console.print(f"warning: {error}", markup=False)
    else:
        console.print("In the browser: make ui", highlight=False)

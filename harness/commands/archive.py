"""`pacer archive`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harness.commands.shared import places
from harness.commands.shared.kinds import Folder, Names
from harness.commands.shared.options import Results, Suite
from harness.protocol.defaults import DEFAULT_SUITE

EXAMPLES = ("pacer archive --to kept", "pacer archive --to kept --submissions adamw,lion")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keep what a board needs of the records, small enough for a repository."""

    to: Annotated[Folder, Parameter(help="Another folder of records.")]
    submissions: Annotated[Names | None, Parameter(help="Only these, as they are named on the board.")] = None
    suite: Suite = None
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Writes the archive and says how big it is."""
    from scoring.records import RecordStore

    suite = options.suite or DEFAULT_SUITE
    records, warnings = RecordStore(Path(options.results), suite).read()
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    named = options.submissions
    kept = [r for r in records if named is None or r.submission in named]
    store = RecordStore(Path(options.to), suite)
    store.write_archive(kept)
    print(f"{store.archive}: {len(kept)} records, {store.archive.stat().st_size} bytes")
    return 0

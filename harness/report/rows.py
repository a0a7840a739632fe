"""Prints rows as a table for a person, or as JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Prints rows with the same keys, the first of which is `name`; "-" stands for None."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for key in rows[0] if rows else ():
        table.add_column(key, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    Console(width=200 if not sys.stdout.isatty() else None).print(table, markup=False)

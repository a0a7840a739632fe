"""`pacer status`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.options import Json, Results
from harness.report import status

EXAMPLES = ("pacer status", "pacer status --results s3://bucket/folder", "pacer status --json")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what a bench is doing, from another terminal."""

    results: Results = field(default_factory=places.default_results)
    json: Json = False


def run(options: Options) -> int:
    """Prints the last bench of each suite."""
    benches = list(status.read(Path(options.results)))
    if options.json:
        print(json.dumps([{**asdict(each), "state": each.state} for each in benches], indent=1))
        return 0
    if not benches:
        print(f"no bench has run in {options.results} yet; start one: pacer bench")
    for each in benches:
        Console(width=200 if not sys.stdout.isatty() else None).print(status.as_text(each))
    return 0

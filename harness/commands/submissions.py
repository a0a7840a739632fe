"""`pacer submissions`."""

from __future__ import annotations

from dataclasses import dataclass

from harness.commands.shared.options import Json
from harness.report.rows import print_rows

EXAMPLES = ("pacer submissions", "pacer submissions --json")


@dataclass(frozen=True, kw_only=True)
class Options:
    """List the submissions that come with Pacer: paper, ruleset, what they need."""

    json: Json = False


def run(options: Options) -> int:
    """Prints a row a submission."""
    from harness.report.listings import submissions

    print_rows(submissions(), as_json=options.json)
    return 0

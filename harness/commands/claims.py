"""`pacer claims`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harness.commands.shared import places
from harness.commands.shared.kinds import File
from harness.commands.shared.options import Results, RulesetOption, Suite, ruleset_of
from harness.protocol.defaults import DEFAULT_SUITE

EXAMPLES = ("pacer claims", "pacer claims --results results/forty --to docs/claims.md")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the page of what became of each algorithm's claim, by the records."""

    suite: Suite = None
    ruleset: RulesetOption = None
    results: Results = field(default_factory=places.default_results)
    to: Annotated[File, Parameter(help="The page to write.")] = "claims.md"


def run(options: Options) -> int:
    """Writes the page."""
    from harness.report.listings import claims
    from scoring.claims import as_markdown
    from scoring.records import RecordStore

    suite, results = options.suite or DEFAULT_SUITE, Path(options.results)
    records, _ = RecordStore(results, suite).read()
    here = Path.cwd()
    shown = results.relative_to(here) if results.is_absolute() and results.is_relative_to(here) else results
    ruleset, command = ruleset_of(options.ruleset, suite), f"make claims RESULTS={shown}"
    command += f" RULESET={ruleset}" if ruleset != "self" else ""
    page = as_markdown(records, claims(), suite=suite, ruleset=ruleset, command=command)
    Path(options.to).parent.mkdir(parents=True, exist_ok=True)
    Path(options.to).write_text(page)
    print(f"{options.to}: {len(page)} characters")
    return 0

"""`pacer import-algoperf`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import File
from harness.commands.shared.options import Results, Ruleset

EXAMPLES = ("pacer import-algoperf path/to/logs --version 0.6 --ruleset external",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Read AlgoPerf's published logs into a suite of their own."""

    folder: Annotated[File, Parameter(help="The folder that holds the submissions, or one above it.")] = field(
        kw_only=False
    )
    version: Annotated[Literal["0.5", "0.6"], Parameter(help="Of AlgoPerf.")]
    ruleset: Annotated[Ruleset, Parameter(help="Which leaderboard these are the logs of.")]
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Imports what is new and says what the logs lack."""
    from harness.algoperf import facts as algoperf_facts
    from harness.algoperf.import_logs import import_logs

    facts = algoperf_facts.leaderboard(options.version, options.ruleset)
    print(import_logs(Path(options.folder), facts, Path(options.results), Console(stderr=True)).as_text())
    print(f"next: pacer leaderboard --suite {facts.suite} --results {options.results} --compare")
    return 0

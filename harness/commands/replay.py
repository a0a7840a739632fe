"""`pacer replay`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import Names, Text
from harness.commands.shared.options import Results, RulesetOption, Suite, reference_of, ruleset_of
from harness.protocol.defaults import DEFAULT_SUITE

EXAMPLES = (
    "pacer replay --suite mini",
    "pacer replay --suite algoperf-0.6-external --results results/demo --policy exact,forecast",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what stopping trials early would have saved, and done to scores."""

    suite: Suite = None
    ruleset: RulesetOption = None
    policy: Annotated[Names | None, Parameter(help="Only these: exact, give-up, forecast.")] = None
    reference: Annotated[
        Text | None, Parameter(help="What the anchored score and the cut compare with. [the suite's]")
    ] = None
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Prints what every policy saves and costs, and draws it."""
    from scoring.charts import savings_png
    from scoring.records import RecordStore
    from scoring.replay import as_text, curves, report

    results, suite = Path(options.results), options.suite or DEFAULT_SUITE
    records, _ = RecordStore(results, suite).read()
    reference = reference_of(options.reference, suite)
    ruleset, chart = ruleset_of(options.ruleset, options.suite), results / suite / "replay.png"
    with Console(stderr=True).status("replaying every trial under every policy"):
        made = report(records, suite=suite, ruleset=ruleset, reference=reference, only=options.policy)
    print(as_text(made))
    savings_png(curves(made), chart, title=f"Stopping early on {suite}")
    print(f"chart: {chart}")
    return 0

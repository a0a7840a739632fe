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

_SPEND = "spend"

EXAMPLES = (
    "pacer replay --suite mini",
    "pacer replay --suite algoperf-0.6-external --results results/demo --policy exact,forecast",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what stopping trials early would have saved and done to scores, and studies that go where they decide."""

    suite: Suite = None
    ruleset: RulesetOption = None
    policy: Annotated[Names | None, Parameter(help="Only these: exact, give-up, forecast, ladder, spend.")] = None
    reference: Annotated[
        Text | None, Parameter(help="What the ladder and anchored scores and the cut compare with. [the suite's]")
    ] = None
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Prints what every policy saves and costs, and draws it."""
    from scoring.charts import savings_png
    from scoring.query import BoardQuery
    from scoring.records import RecordStore
    from scoring.replay import as_text, curves, report
    from scoring.spend import spend_report, spend_text
    from scoring.spend.chart import spend_png

    results, suite = Path(options.results), options.suite or DEFAULT_SUITE
    records, _ = RecordStore(results, suite).read()
    reference = reference_of(options.reference, suite)
    ruleset, console = ruleset_of(options.ruleset, options.suite), Console(stderr=True)
    stopping = None if options.policy is None else [name for name in options.policy if name != _SPEND]
    if stopping is None or stopping:
        with console.status("replaying every trial under every policy"):
            made = report(records, suite=suite, ruleset=ruleset, reference=reference, only=stopping)
        print(as_text(made))
        chart = results / suite / "replay.png"
        savings_png(curves(made), chart, title=f"Stopping early on {suite}")
        print(f"chart: {chart}")
    if options.policy is None or _SPEND in options.policy:
        with console.status("replaying the bench with its studies where they decide"):
            spent = spend_report(records, BoardQuery(suite=suite, ruleset=ruleset, reference=reference))
        print(spend_text(spent))
        chart = results / suite / "spend.png"
        spend_png(spent, chart)
        print(f"chart: {chart}")
    return 0

"""`pacer reliability`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, get_args

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import one_of
from harness.commands.shared.options import (
    Json,
    ReferenceOption,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    recorded,
)
from scoring.names import Axis, Score

EXAMPLES = (
    "pacer reliability",
    "pacer reliability --suite algoperf-0.5-self --results results/demo --by steps",
    "pacer reliability --score ladder --json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say how well each score of a single study tells submissions apart, by the records."""

    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    reference: ReferenceOption = None
    score: Annotated[Score | None, Parameter(converter=one_of(*get_args(Score)), help="Only this score. [all]")] = (
        None
    )
    by: Annotated[Axis, Parameter(help="What is ranked.")] = "time"
    json: Json = False
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Prints the yardstick for each score."""
    from harness.report.reliability import as_json, as_text
    from scoring.reliability import reliability

    boards = recorded(
        options.results,
        options.suite,
        options.ruleset,
        options.workloads,
        reference=options.reference,
        by=options.by,
    )
    records = [trial.record for trial in boards.trials]
    with Console(stderr=True).status("making a board of each study, for each score"):
        report = reliability(records, boards.query, [options.score] if options.score else get_args(Score))
    print(json.dumps(as_json(report), allow_nan=False, indent=1) if options.json else as_text(report))
    return 0

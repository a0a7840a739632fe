"""`pacer compare`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import Share, Text
from harness.commands.shared.options import (
    ClusterGroup,
    ClusterLayout,
    Hardware,
    Json,
    ReferenceOption,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    recorded,
)
from scoring.names import Axis

EXAMPLES = (
    "pacer compare lion adamw",
    "pacer compare --a lion --b adamw --margin 0.02",
    "pacer compare schedule_free_adamw baseline --suite algoperf-0.5-self --results results/demo --json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say which of two submissions is faster, by how much, and how many more studies would decide it."""

    a: Annotated[Text, Parameter(help="A submission, as it is named on the board.")] = field(kw_only=False)
    b: Annotated[Text, Parameter(help="What it is compared with.")] = field(kw_only=False)
    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    reference: ReferenceOption = None
    by: Annotated[Axis, Parameter(help="What is compared.")] = "time"
    margin: Annotated[Share, Parameter(help="Speeds that differ by less are equivalent.")] = 0.05
    json: Json = False
    hardware: Annotated[Hardware, Parameter(help="Whose trials. [that with the most records]")] = None
    results: Results = field(default_factory=places.default_results)
    layout: ClusterGroup = field(default_factory=ClusterLayout)


def run(options: Options) -> int:
    """Prints the comparison, and draws it beside the board's files."""
    from harness.report.show import board_folder
    from harness.report.versus import as_text
    from scoring.forest import forest_png
    from scoring.versus import versus

    layout = options.layout.layout()
    boards = recorded(
        options.results,
        options.suite,
        options.ruleset,
        options.workloads,
        reference=options.reference,
        by=options.by,
        fingerprint=options.hardware,
        layout=layout,
    )
    records = [trial.record for trial in boards.trials]
    found = versus(records, options.a, options.b, boards.query, options.margin)
    print(json.dumps(found.as_json(), allow_nan=False, indent=1) if options.json else as_text(found))
    chart = (
        board_folder(Path(options.results), boards.query.suite, layout)
        / f"{_safe(options.a)}_against_{_safe(options.b)}.png"
    )
    forest_png(found, chart)
    Console(stderr=True).print(f"Chart: {chart}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _safe(name: str) -> str:
    """The name as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)

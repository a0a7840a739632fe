"""`pacer noise`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated

from cyclopts import Parameter

from harness.commands.shared import places
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

EXAMPLES = ("pacer noise", "pacer noise --by steps --results results/forty")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say how small a speed-up 3, 5 or 10 studies detect on this machine, by the trials of a bench."""

    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    reference: ReferenceOption = None
    by: Annotated[Axis, Parameter(help="What is compared.")] = "time"
    json: Json = False
    hardware: Annotated[Hardware, Parameter(help="Whose trials. [that with the most records]")] = None
    results: Results = field(default_factory=places.default_results)
    layout: ClusterGroup = field(default_factory=ClusterLayout)


def run(options: Options) -> int:
    """Prints it for each workload and for scores over all of them."""
    from harness.report.noise import as_text
    from scoring.noise import noise_of

    boards = recorded(
        options.results,
        options.suite,
        options.ruleset,
        options.workloads,
        reference=options.reference,
        by=options.by,
        fingerprint=options.hardware,
        layout=options.layout.layout(),
    )
    report = noise_of([trial.record for trial in boards.trials], boards.query)
    print(json.dumps(asdict(report), allow_nan=False, indent=1) if options.json else as_text(report))
    return 0

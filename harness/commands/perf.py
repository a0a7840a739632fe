"""`pacer perf`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne
from harness.commands.shared.options import (
    Data,
    Json,
    Results,
    Suite,
    Workloads,
    folder,
)
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings

EXAMPLES = ("pacer perf", "pacer perf --workloads mnist_resnet --pairs 3")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what the harness adds to a step, a trial and a bench."""

    suite: Suite = None
    workloads: Workloads = None
    pairs: Annotated[AtLeastOne, Parameter(help="Interleaved pairs of loops a workload.")] = 7
    results: Annotated[Results, Parameter(help="Folder of records, whose last bench counts.")] = field(
        default_factory=places.default_results
    )
    data: Data = field(default_factory=places.default_data)
    json: Json = False


def run(options: Options) -> int:
    """Prints the report; returns 1 where a cost is out of bounds."""
    from harness.studies.perf import perf

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=options.workloads,
        results=folder(options.results),
        data=folder(options.data),
    )
    report = perf(settings, Console(stderr=True), options.pairs)
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0 if report.within_bounds() else 1

"""`pacer workloads`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter

from harness.commands.shared import places
from harness.commands.shared.options import Json, Results, Suite, Workloads, folder
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings
from harness.report.rows import print_rows

EXAMPLES = (
    "pacer workloads",
    "pacer workloads --suite base",
    "pacer workloads --variants --workloads mnist_resnet",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """List the workloads of a suite, with the seconds per reference step where they were measured."""

    suite: Suite = None
    workloads: Workloads = None
    variants: Annotated[bool, Parameter(help="Their variants instead.")] = False
    results: Results = field(default_factory=places.default_results)
    json: Json = False


def run(options: Options) -> int:
    """Prints a row a workload."""
    from harness.protocol.choose import listed_variants, listed_workloads
    from harness.report.listings import workloads

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE, workloads=options.workloads, results=folder(options.results)
    )
    chosen = listed_variants(settings) if options.variants else listed_workloads(settings)
    print_rows(workloads(settings, chosen), as_json=options.json)
    return 0

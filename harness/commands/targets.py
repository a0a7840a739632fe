"""`pacer targets`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne, Names
from harness.commands.shared.options import Data, Suite, Workloads, folder
from harness.commands.shared.places import ray_address
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings

EXAMPLES = (
    "pacer targets --suite mini --workloads my_workload",
    "pacer targets --suite mini --variants --points 1 --repeats 2",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Set the targets of a suite's workloads."""

    suite: Suite = None
    workloads: Workloads = None
    variants: Annotated[bool, Parameter(help="Of their variants instead.")] = False
    points: Annotated[AtLeastOne, Parameter(help="Points of each search space.")] = 6
    repeats: Annotated[AtLeastOne, Parameter(help="Repeats of the best point.")] = 5
    families: Annotated[
        Names | None, Parameter(help="Search these submissions alone. [nadamw,adamw,nesterov,heavy_ball]")
    ] = None
    data: Data = field(default_factory=places.default_data)


def run(options: Options) -> int:
    """Runs the searches and writes each target beside the workloads."""
    from harness.protocol.choose import listed_variants, listed_workloads
    from harness.studies.targets import set_targets

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=options.workloads,
        data=folder(options.data),
        ray_address=ray_address(),
    )
    chosen = listed_variants(settings) if options.variants else listed_workloads(settings)
    return set_targets(settings, chosen, options.points, options.repeats, Console(), options.families)

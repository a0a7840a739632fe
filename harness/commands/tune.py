"""`pacer tune`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne, Names
from harness.commands.shared.options import Data, Results, Suite, Workloads, folder
from harness.commands.shared.places import ray_address
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings

ALIASES = ("calibrate",)
EXAMPLES = ("pacer tune --submission my_optimizer.py", "pacer tune --submission lion --points 20")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Find one point of a submission's search space for all workloads of a suite together, and keep it."""

    submission: Annotated[Names, Parameter(help="Names, .py files, or all.")]
    points: Annotated[AtLeastOne, Parameter(help="Points of the space to try, beside those that are known.")] = 5
    suite: Suite = None
    workloads: Workloads = None
    results: Results = field(default_factory=places.default_results)
    data: Data = field(default_factory=places.default_data)


def run(options: Options) -> int:
    """Runs what is not recorded yet; returns 1 where a submission broke."""
    from harness.protocol.choose import expanded
    from harness.studies.tune import tune

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=options.workloads,
        results=folder(options.results),
        data=folder(options.data),
        ray_address=ray_address(),
    )
    return tune(settings, expanded(options.submission), options.points, Console(stderr=True))

"""`pacer scale`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared.kinds import AtLeastOne, Patience
from harness.commands.shared.options import Json
from harness.commands.shared.places import ray_address

EXAMPLES = ("pacer scale", "pacer scale --trials-planned 1000 --json")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the harness itself, with recorded curves in place of training."""

    trials_planned: Annotated[AtLeastOne, Parameter(help="Trials of the bench.")] = 100_000
    mirror_s: Annotated[Patience, Parameter(help="Seconds for MLflow.")] = 20.0
    json: Json = False


def run(options: Options) -> int:
    """Prints the report; returns 1 where a cost is out of bounds."""
    from harness.studies.scale import scale

    report = scale(
        options.trials_planned, Console(stderr=True), mirror_s=options.mirror_s, ray_address=ray_address()
    )
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0 if report.within_bounds() else 1

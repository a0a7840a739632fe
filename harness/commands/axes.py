"""`pacer axes`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne, Names, Seed
from harness.commands.shared.options import (
    Data,
    Json,
    LimitGroup,
    LimitOptions,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    folder,
    ruleset_of,
    workloads_of,
)
from harness.commands.shared.places import ray_address
from harness.protocol.defaults import DEFAULT_SUBMISSIONS, DEFAULT_SUITE, DEFAULT_TRIALS
from harness.protocol.settings import Settings
from pacer.errors import UsageError

EXAMPLES = (
    "pacer axes --submissions lion,adamw --horizon 0.5,1,2",
    "pacer axes --submissions muon --batch 0.5,1,2,4 --workloads shakespeare_gpt --studies 5",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run a bench at several horizons or batch sizes, and draw the speed-ups over them: do rankings flip?"""

    horizon: Annotated[Names | None, Parameter(help="Factors of the horizon, such as 0.5,1,2,4.")] = None
    batch: Annotated[Names | None, Parameter(help="Or factors of the batch size.")] = None
    submissions: Annotated[
        Names | None, Parameter(help=f"Names, .py files or classes. [{','.join(DEFAULT_SUBMISSIONS)}]")
    ] = None
    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    studies: Annotated[AtLeastOne, Parameter(help="Independent repeats.")] = 3
    seed: Annotated[Seed, Parameter(help="Root of all random numbers.")] = 0
    json: Json = False
    results: Results = field(default_factory=places.default_results)
    data: Data = field(default_factory=places.default_data)
    limits: LimitGroup = field(default_factory=LimitOptions)


def run(options: Options) -> int:
    """Runs what is missing, prints the curves and draws them."""
    from harness.report.axes import as_text
    from harness.runs.axes import along_axis
    from scoring.axis import axis_png

    if (options.horizon is None) == (options.batch is None):
        raise UsageError("axes takes one axis; type: --horizon 0.5,1,2 or --batch 0.5,1,2")
    name, words = ("horizon", options.horizon) if options.batch is None else ("batch", options.batch)
    console, ruleset = Console(stderr=True), ruleset_of(options.ruleset, options.suite)
    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        submissions=options.submissions or DEFAULT_SUBMISSIONS,
        workloads=workloads_of(options.workloads, options.suite),
        studies=options.studies,
        trials=DEFAULT_TRIALS[ruleset],
        ruleset=ruleset,
        seed=options.seed,
        results=folder(options.results),
        data=folder(options.data),
        ray_address=ray_address(),
        limits=options.limits.limits(),
    )
    curves = along_axis(settings, name, [_factor(name, word) for word in words or ()], console)
    print(json.dumps(curves.as_json(), allow_nan=False, indent=1) if options.json else as_text(curves))
    chart = Path(settings.results) / settings.suite / f"axes_{name}.png"
    axis_png(curves, chart)
    console.print(f"Chart: {chart}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _factor(name: str, word: str) -> float:
    """The number that a word is. Raises UsageError for one that is none; the layout refuses one out of range."""
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"--{name} has {word!r}, expected numbers such as 0.5,1,2,4") from None

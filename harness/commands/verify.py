"""`pacer verify`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne, Text
from harness.commands.shared.options import (
    ClusterGroup,
    ClusterLayout,
    Data,
    LimitGroup,
    LimitOptions,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    folder,
    ruleset_of,
)
from harness.commands.shared.places import ray_address
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings

EXAMPLES = ("pacer verify --submission nadamw", "pacer verify --submission lion --count 3 --workloads mnist_resnet")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Repeat recorded trials from their seeds and say whether losses and times are the same."""

    submission: Annotated[Text, Parameter(help="Whose trials.")]
    count: Annotated[AtLeastOne, Parameter(help="Trials a workload.")] = 1
    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    results: Results = field(default_factory=places.default_results)
    data: Data = field(default_factory=places.default_data)
    limits: LimitGroup = field(default_factory=LimitOptions)
    layout: ClusterGroup = field(default_factory=ClusterLayout)


def run(options: Options) -> int:
    """Prints a line a trial; returns 1 where losses differ."""
    from harness.runs.verify import verify

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=options.workloads,
        ruleset=ruleset_of(options.ruleset, options.suite),
        results=folder(options.results),
        data=folder(options.data),
        ray_address=ray_address(),
        limits=options.limits.limits(),
        layout=options.layout.layout(),
    )
    return verify(settings, options.submission, options.count, Console(stderr=True))

"""`pacer check`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import Names
from harness.commands.shared.options import (
    Data,
    LimitGroup,
    LimitOptions,
    MachineGroup,
    MachineLayout,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    folder,
    ruleset_of,
)
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings

EXAMPLES = (
    "pacer check --submission my_optimizer.py",
    "pacer check --submission 'torch.optim:RMSprop(lr=1e-3)' --workloads mnist_resnet",
    "pacer check --submission all --suite mini",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Try submissions on every workload for a few steps and say what is wrong with them."""

    submission: Annotated[Names, Parameter(help="Names, .py files, classes like torch.optim:RMSprop, or all.")]
    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    results: Annotated[Results, Parameter(help="Folder of records, hidden from the submission.")] = field(
        default_factory=places.default_results
    )
    data: Data = field(default_factory=places.default_data)
    limits: LimitGroup = field(default_factory=LimitOptions)
    layout: MachineGroup = field(default_factory=MachineLayout)


def run(options: Options) -> int:
    """Prints a line a workload; returns 1 where a submission has problems."""
    from harness.protocol.choose import expanded
    from harness.runs.check import check

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=options.workloads,
        ruleset=ruleset_of(options.ruleset, options.suite),
        results=folder(options.results),
        data=folder(options.data),
        limits=options.limits.limits(),
        layout=options.layout.layout(),
    )
    console = Console()
    specs = expanded(options.submission)
    broken = [spec for spec in specs if check(settings, spec, console)]
    if len(specs) > 1:
        summary = f"{len(broken)} of {len(specs)} submissions have problems: {', '.join(broken)}"
        console.print(summary if broken else "all are well", markup=False, soft_wrap=True)
    return 1 if broken else 0

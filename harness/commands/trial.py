"""`pacer trial`."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastZero, File, Seed, Text
from harness.commands.shared.options import (
    Data,
    LimitGroup,
    LimitOptions,
    MachineGroup,
    MachineLayout,
    Results,
    RulesetOption,
    Suite,
    folder,
    ruleset_of,
)
from harness.protocol.defaults import DEFAULT_SUITE
from harness.protocol.settings import Settings
from pacer.errors import UsageError

EXAMPLES = (
    "pacer trial --workload mnist_resnet --submission lion",
    "pacer trial --workload mnist_resnet --submission lion --study 2 --record lion.jsonl",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run one trial of a bench, where neither Ray nor MLflow is needed."""

    workload: Annotated[Text, Parameter(help="Its name.")]
    submission: Annotated[Text, Parameter(help="A name, a .py file or a class like torch.optim:RMSprop.")]
    study: Annotated[AtLeastZero, Parameter(help="Whose random draws it has, from 0 up.")] = 0
    point: Annotated[AtLeastZero, Parameter(help="Of the search space, from 0 up.")] = 0
    seed: Annotated[Seed, Parameter(help="Root of all random numbers.")] = 0
    suite: Suite = None
    ruleset: RulesetOption = None
    record: Annotated[
        File | None, Parameter(help="Add the record to this file, a line of RESULTS/SUITE/trials.jsonl. [print it]")
    ] = None
    results: Results = field(default_factory=places.default_results)
    data: Data = field(default_factory=places.default_data)
    limits: LimitGroup = field(default_factory=LimitOptions)
    layout: MachineGroup = field(default_factory=MachineLayout)


def run(options: Options) -> int:
    """Runs the trial and writes its record; returns 1 where the trial broke."""
    from harness.protocol.plan import checkpoint_path
    from harness.runs.single import run_single
    from harness.trial.checkpoint_store import discard
    from scoring.records import to_json

    settings = Settings(
        suite=options.suite or DEFAULT_SUITE,
        workloads=(options.workload,),
        submissions=(options.submission,),
        ruleset=ruleset_of(options.ruleset, options.suite),
        seed=options.seed,
        results=folder(options.results),
        data=folder(options.data),
        limits=options.limits.limits(),
        layout=options.layout.layout(),
    )
    with _appending(options.record) as file:
        record = run_single(settings, options.study, options.point, Console(stderr=True))
        print(to_json(record), file=file)
    discard(checkpoint_path(settings, record.key))
    return 1 if record.failure is not None else 0


def _appending(path: str | None) -> contextlib.AbstractContextManager[TextIO]:
    """The file to add a line to, opened before the work is done for it; standard output for None."""
    if path is None:
        return contextlib.nullcontext(sys.stdout)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a")
    except OSError as error:
        raise UsageError(f"nothing can be written to {path}: {error}; name another file after --record") from None

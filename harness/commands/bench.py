"""`pacer bench`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import (
    AtLeastOne,
    AtLeastZero,
    File,
    Names,
    Patience,
    Portion,
    Positive,
    Probability,
    Seed,
)
from harness.commands.shared.options import (
    BoardGroup,
    BoardOptions,
    ClusterGroup,
    ClusterLayout,
    Data,
    Hardware,
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
from harness.protocol.defaults import (
    DEFAULT_MOST_STUDIES,
    DEFAULT_STOP,
    DEFAULT_STUDIES,
    DEFAULT_SUBMISSIONS,
    DEFAULT_SUITE,
    DEFAULT_TRIALS,
    Spend,
    Stop,
)
from harness.protocol.settings import Settings
from pacer.errors import UsageError
from scoring.names import needs_targets

if TYPE_CHECKING:
    from harness.runs.bench_report import BenchReport
    from scoring.board import Board, BoardQuery

SUPERVISED = True


EXAMPLES = (
    "pacer bench",
    "pacer bench --suite mini --studies 5",
    "pacer bench --submission 'torch.optim:RMSprop(lr=1e-3)'",
    "pacer bench --submissions nadamw,my_optimizer.py --workloads mnist_resnet,shakespeare_gpt",
    "pacer bench results/mini/board/board.toml --studies 10",
    "pacer bench --until-decided adamw,lion --sure 0.9",
    "pacer bench --submissions all --spend adaptive --budget-h 4",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run what is missing of a benchmark, then print the leaderboard.

    Without a suite or workloads it runs four workloads of the suite mini. Trials that are recorded are not run
    again. RAY_ADDRESS names a Ray cluster to run on.
    """

    settings: Annotated[File | None, Parameter(help="A TOML file of options: studies = 5. What is typed wins.")] = (
        field(default=None, kw_only=False)
    )
    suite: Suite = None
    workloads: Workloads = None
    submissions: Annotated[
        Names | None, Parameter(help=f"Names, .py files or classes. [{','.join(DEFAULT_SUBMISSIONS)}]")
    ] = None
    submission: Annotated[Names | None, Parameter(help="More beside those, such as torch.optim:RMSprop.")] = None
    studies: Annotated[
        AtLeastOne | None,
        Parameter(
            help=f"Independent repeats. [{DEFAULT_STUDIES}; with --spend adaptive at most {DEFAULT_MOST_STUDIES}]"
        ),
    ] = None
    trials: Annotated[AtLeastOne | None, Parameter(help="Points a study. [self 1, external 5]")] = None
    ruleset: RulesetOption = None
    seed: Annotated[Seed, Parameter(help="Root of all random numbers.")] = 0
    stop: Annotated[Stop, Parameter(help="When trials end early.")] = DEFAULT_STOP
    variants: Annotated[AtLeastZero, Parameter(help="Draw so many variants of the workloads as well.")] = 0
    variant_seed: Annotated[Seed | None, Parameter(help="Of the draw. [that of the folder of results]")] = None
    until_decided: Annotated[
        Names | None, Parameter(help="Add studies to these two submissions until one is surely ahead.")
    ] = None
    spend: Annotated[Spend, Parameter(help="adaptive: one study of each, then further ones where they decide.")] = (
        Spend.EVEN
    )
    decided: Annotated[
        Portion | None, Parameter(help="With --spend adaptive: the share of pairs at which it ends. [0.8]")
    ] = None
    sure: Annotated[Probability | None, Parameter(help="The probability that is enough for that. [0.95]")] = None
    budget_h: Annotated[
        Positive | None, Parameter(help="Hours of device time for either at most. [1; adaptive: none]")
    ] = None
    results: Results = field(default_factory=places.default_results)
    data: Data = field(default_factory=places.default_data)
    checkpoint_s: Annotated[Patience, Parameter(help="Seconds between a trial's checkpoints.")] = (
        Settings.checkpoint_s
    )
    hardware: Annotated[
        Hardware, Parameter(help="Of the cluster's nodes to measure on. [those with the most devices]")
    ] = None
    limits: LimitGroup = field(default_factory=LimitOptions)
    layout: ClusterGroup = field(default_factory=ClusterLayout)
    board: BoardGroup = field(default_factory=BoardOptions)


def run(options: Options) -> int:
    """Runs the bench and shows its board; returns 1 where trials were lost."""
    from harness.commands.shared import again
    from harness.report.show import show_board
    from harness.runs.bench_report import append_report

    console, results = Console(stderr=True), Path(options.results)
    reports = run_trials(options, console)
    layout = options.layout.layout()
    board = show_board(console, results, query_of(options, reports[-1]), options.board.presentation(), layout)
    if not options.board.compare:
        again.write_for_bench(board, options.results, layout, settings_to_repeat(options, board), console)
    reports[-1] = replace(reports[-1], wall_s=time.time() - reports[-1].started)
    for report in reports:
        if not report.trials_run:
            continue
        append_report(folder(options.results), report)
        console.print(
            f"{report.trials_run} trials in {report.wall_s:.0f} s on {report.devices} devices, "
            f"{report.submission_s:.0f} s of submission time; driver, progress and Ray's services took "
            f"{100 * report.overhead_cores:.1f} % of a core while trials ran",
            highlight=False,
            soft_wrap=True,
        )
    if lost := sum(report.trials_lost for report in reports):
        console.print(f"{lost} trials were lost; the same command runs them again")
        return 1
    return 0


def run_trials(options: Options, console: Console) -> list[BenchReport]:
    """Runs what is missing; a report for each bench that it took. Raises UsageError."""
    from harness.commands.shared import again
    from harness.protocol.choose import expanded
    from harness.runs.adaptive import Enough, adaptive
    from harness.runs.bench import bench
    from harness.runs.decide import Until, until_decided
    from submissions.registry import resolve

    _check(options)
    settings = _settings(options)
    if options.spend is Spend.ADAPTIVE:
        enough = Enough()
        enough = Enough(decided=options.decided or enough.decided, budget_h=options.budget_h or enough.budget_h)
        specs, reports = settings.submissions, list(adaptive(settings, enough, console))
    elif options.until_decided is None:
        specs, reports = settings.submissions, [bench(settings, console)]
    else:
        usual = Until()
        until = Until(sure=options.sure or usual.sure, budget_h=options.budget_h or usual.budget_h)
        specs = options.until_decided
        reports = list(until_decided(settings, specs, until, console))
    again.remember(settings.results, settings.suite, {resolve(s).name: _anywhere(s) for s in expanded(specs)})
    return reports


def query_of(options: Options, report: BenchReport) -> BoardQuery:
    """What the board of a bench is asked for."""
    ruleset = ruleset_of(options.ruleset, options.suite)
    return options.board.query(report.suite, ruleset, report.workloads, report.fingerprint)


def settings_to_repeat(options: Options, board: Board) -> Mapping[str, object]:
    """What the settings file of the board has from the options of its bench."""
    from harness.protocol.variants import folder_seed

    settings = _settings(options)
    asked: dict[str, object] = {"studies": max(settings.studies, board.studies), "trials": settings.trials}
    asked |= {"seed": options.seed, "stop": str(options.stop)}
    if options.spend is Spend.ADAPTIVE:
        asked |= {"spend": str(options.spend), "studies": settings.studies}
        limits_of_spend = {"decided": options.decided, "budget-h": options.budget_h}
        asked |= {name: value for name, value in limits_of_spend.items() if value is not None}
    if options.variants:
        drawn = options.variant_seed if options.variant_seed is not None else folder_seed(settings)
        asked |= {"variants": options.variants, "variant-seed": drawn}
        asked["workloads"] = list(settings.workloads or board.workloads)
    usual = {each.name: each.default for each in fields(LimitOptions)}
    limits = {name: value for name, value in vars(options.limits).items() if value != usual[name]}
    if options.checkpoint_s != Settings.checkpoint_s:
        limits["checkpoint_s"] = options.checkpoint_s
    if options.hardware is not None:
        limits["hardware"] = options.hardware
    return asked | {name.replace("_", "-"): value for name, value in limits.items()}


def _check(options: Options) -> None:
    """Refuses options that do nothing beside or without another one, and what cannot be shown afterwards."""
    together, spread = options.until_decided is not None, options.spend is Spend.ADAPTIVE
    if options.sure is not None and not together:
        raise UsageError("--sure is of use with --until-decided alone; type: --until-decided adamw,lion")
    if options.decided is not None and not spread:
        raise UsageError("--decided is of use with --spend adaptive alone; type: --spend adaptive")
    if options.budget_h is not None and not (together or spread):
        raise UsageError(
            "--budget-h is of use with --until-decided or --spend adaptive alone; type: --spend adaptive"
        )
    if spread and together:
        raise UsageError("--until-decided already spends studies where they decide; leave out --spend")
    if spread and needs_targets(options.board.score):
        raise UsageError("--spend adaptive decides by the ladder score; leave out --score")
    if together and (options.submissions or options.submission):
        raise UsageError("--until-decided A,B names the submissions; leave out --submissions and --submission")
    if options.board.compare and (scale := " ".join(options.layout.layout().scale)):
        raise UsageError(f"targets do not hold at {scale}, so the ladder alone ranks; leave out --compare")
    if options.variant_seed is not None and not options.variants:
        raise UsageError("--variant-seed is of use with --variants alone; type: --variants 3")


def _settings(options: Options) -> Settings:
    ruleset = ruleset_of(options.ruleset, options.suite)
    return Settings(
        suite=options.suite or DEFAULT_SUITE,
        submissions=(*(options.submissions or DEFAULT_SUBMISSIONS), *(options.submission or ())),
        workloads=workloads_of(options.workloads, options.suite),
        variants=options.variants,
        variant_seed=options.variant_seed,
        studies=options.studies or (DEFAULT_MOST_STUDIES if options.spend is Spend.ADAPTIVE else DEFAULT_STUDIES),
        trials=options.trials or DEFAULT_TRIALS[ruleset],
        ruleset=ruleset,
        seed=options.seed,
        stop=options.stop,
        results=folder(options.results),
        data=folder(options.data),
        ray_address=ray_address(),
        hardware=options.hardware,
        limits=options.limits.limits(),
        checkpoint_s=options.checkpoint_s,
        layout=options.layout.layout(),
        needs_targets=needs_targets(options.board.score),
    )


def _anywhere(spec: str) -> str:
    """A submission that is a file or a folder, as it is named from any folder; another one as it is."""
    path, at, defaults = spec.partition("@")
    return f"{Path(path).expanduser().absolute()}{at}{defaults}" if Path(path).expanduser().exists() else spec

"""What the command line takes: the arguments of every verb, and the settings that they make.

Reads the few environment variables that users set. Imports nothing heavy, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.protocol.defaults import DEFAULT_MIRROR_S, DEFAULT_STOP
from pacer import paths
from pacer.errors import UsageError
from scoring.records.layout import Layout

if TYPE_CHECKING:
    from harness.protocol.settings import Settings
    from harness.system.sandbox import Limits


def settings_of(options: argparse.Namespace) -> Settings:
    """The Settings that were asked for. Raises UsageError."""
    from harness.protocol.defaults import DEFAULT_SUBMISSIONS, DEFAULT_SUITE, DEFAULT_TRIALS
    from harness.protocol.settings import Settings

    ruleset = ruleset_of(options)
    submissions = names(getattr(options, "submissions", None)) or DEFAULT_SUBMISSIONS
    extra = tuple(getattr(options, "submission", None) or ())
    return Settings(
        suite=options.suite or DEFAULT_SUITE,
        submissions=(*submissions, *extra),
        workloads=names(options.workloads),
        variants=getattr(options, "variants", 0),
        variant_seed=getattr(options, "variant_seed", None),
        studies=getattr(options, "studies", 1),
        trials=getattr(options, "trials", None) or DEFAULT_TRIALS[ruleset],
        ruleset=ruleset,
        seed=getattr(options, "seed", 0),
        stop=getattr(options, "stop", DEFAULT_STOP),
        results=Path(options.results).absolute(),
        data=Path(options.data).absolute(),
        ray_address=ray_address(),
        hardware=getattr(options, "hardware", None),
        limits=_limits(options),
        checkpoint_s=getattr(options, "checkpoint_s", Settings.checkpoint_s),
        layout=layout_of(options),
    )


def ray_address() -> str | None:
    """Of the cluster to run on, None for this machine."""
    return os.environ.get("RAY_ADDRESS") or None


def layout_of(options: argparse.Namespace) -> Layout:
    """The layout of trials that was asked for. Raises UsageError."""
    asked = {field.name: getattr(options, field.name, field.default) for field in dataclasses.fields(Layout)}
    return Layout(**asked)


def _limits(options: argparse.Namespace) -> Limits:
    from harness.system.sandbox import Limits

    asked = {field.name: getattr(options, field.name, None) for field in dataclasses.fields(Limits)}
    try:
        return Limits(**{name: value for name, value in asked.items() if value is not None})
    except ValueError as error:
        raise UsageError(str(error)) from None


def ruleset_of(options: argparse.Namespace) -> str:
    """The ruleset that was named, else that of an imported suite, else self."""
    from harness.algoperf.facts import of_suite

    published = of_suite(options.suite or "")
    return options.ruleset or (published.ruleset if published else "self")


def names(text: str | None) -> tuple[str, ...] | None:
    """Splits "a,b(c=1,d=2),e" at the commas that are in no parentheses; None for nothing."""
    found, depth = [""], 0
    for character in text or "":
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return tuple(name.strip() for name in found if name.strip()) or None


def _at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 up")
    return int(text)


def _from_zero(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 up")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; `verb` in what it returns is the name of the verb."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--suite", "--scale", help="all workloads of one scale: smoke, mini (the default) or base")
    common.add_argument("--workloads", metavar="A,B", help="only these of the suite")
    common.add_argument(
        "--results",
        default="results",
        help="folder of the records, or an address as s3://bucket/folder",
    )
    common.add_argument("--data", default=str(paths.default_data()), help="folder of the datasets")
    common.add_argument("--ruleset", choices=("self", "external"), help="self is the default")
    common.add_argument("--tracking-uri", default=os.environ.get("MLFLOW_TRACKING_URI") or None)
    machine_readable = argparse.ArgumentParser(add_help=False)
    machine_readable.add_argument("--json", action="store_true", help="print JSON")
    limits = argparse.ArgumentParser(add_help=False)
    allowed = limits.add_argument_group("what one submission may take")
    allowed.add_argument("--memory-gib", type=float, metavar="N", help="of memory (half of what is free)")
    allowed.add_argument("--processes", type=_at_least_one, metavar="N", help="processes and threads (64)")
    allowed.add_argument("--file-mib", type=_at_least_one, metavar="N", help="size of a file (256)")
    allowed.add_argument("--stall-s", type=float, metavar="N", help="seconds without a finished step (900)")
    how = argparse.ArgumentParser(add_help=False)
    how.add_argument("--devices", type=_at_least_one, default=1, metavar="N", help="that share each batch (1)")
    how.add_argument(
        "--compile", action="store_true", dest="compiled", help="models by torch.compile, off the clock"
    )
    over = argparse.ArgumentParser(add_help=False)
    over.add_argument(
        "--machines", type=_at_least_one, default=1, metavar="M", help="of a cluster, as many devices on each (1)"
    )
    board = argparse.ArgumentParser(add_help=False)
    board.add_argument("--score", choices=("anchored", "algoperf", "algoperf-published"), default="anchored")
    board.add_argument("--compare", action="store_true", help="the ranks and scores of all these side by side")
    board.add_argument("--by", choices=("time", "steps", "examples"), default="time")
    board.add_argument("--no-mlflow", dest="mirror", action="store_false", help="do not bring MLflow up to date")
    board.add_argument(
        "--mirror-s", type=float, default=DEFAULT_MIRROR_S, metavar="N",
        help="seconds for MLflow at most, inf for as long as it takes (120); the next call goes on",
    )  # fmt: skip

    made = argparse.ArgumentParser(prog="python -m harness", description="Pacer: optimizers by time to result.")
    verbs = made.add_subparsers(title="verbs", required=True, metavar="VERB", dest="verb")

    def verb(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text, parents=[common, *parents])

    bench = verb(
        "bench", "run what is missing, then print the leaderboard", machine_readable, limits, how, over, board
    )
    bench.add_argument("--submissions", metavar="A,B", help="names, .py files or classes like torch.optim:RMSprop")
    bench.add_argument("--submission", metavar="X", action="append", help="one more beside the default ones")
    bench.add_argument("--studies", type=_at_least_one, default=3, help="independent repeats (3)")
    bench.add_argument("--trials", type=_at_least_one, help="points a study (self: 1, external: 5)")
    bench.add_argument("--seed", type=int, default=0, help="root of all random numbers (0)")
    stops = ("own-study", "missed", "exact", "forecast")
    bench.add_argument("--stop", choices=stops, default=DEFAULT_STOP, help="when trials end early")
    bench.add_argument(
        "--checkpoint-s", type=float, default=60.0, metavar="N", help="seconds between a trial's checkpoints (60)"
    )
    bench.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # by cluster/watchman.py
    bench.add_argument(
        "--hardware",
        metavar="FINGERPRINT",
        help="of the cluster's nodes to measure on (those with the most devices)",
    )
    bench.add_argument("--variants", metavar="K", type=_at_least_one, default=0, help="draw K variants as well")
    bench.add_argument("--variant-seed", metavar="N", type=int, help="repeat the draw of this seed")
    bench.add_argument("--until-decided", metavar="A,B", help="add studies to these two until one is surely ahead")
    bench.add_argument(
        "--sure", type=float, default=0.95, metavar="P", help="the probability that is enough (0.95)"
    )
    bench.add_argument("--budget-h", type=float, default=1.0, metavar="N", help="hours of device time for that (1)")
    verb("status", "what a bench is doing, from another terminal", machine_readable)
    leaderboard = verb("leaderboard", "print the leaderboard again", machine_readable, how, over, board)
    leaderboard.add_argument("--hardware", metavar="FINGERPRINT", help="whose board (that with the most records)")
    imports = verb("import-algoperf", "read AlgoPerf's published logs into a suite of their own")
    imports.add_argument("folder", metavar="DIR", help="the folder that holds the submissions, or one above it")
    imports.add_argument("--version", choices=("0.5", "0.6"), required=True, help="of AlgoPerf")
    demo = verb("demo", "import AlgoPerf's published leaderboards, print them and open the MLflow UI")
    demo.add_argument("--logs", metavar="DIR", help="a folder of published logs, instead of those of Pacer")
    demo.add_argument("--port", type=int, default=5000)
    claims = verb("claims", "write the page of what became of each algorithm's claim")
    claims.add_argument("--to", metavar="FILE", default="docs/claims.md")
    archive = verb("archive", "keep what a board needs of the records, small enough for a repository")
    archive.add_argument("--to", metavar="FOLDER", required=True, help="another folder of records")
    archive.add_argument("--submissions", metavar="A,B", help="only these, as they are named on the board")
    trial = verb("trial", "run one trial of a bench, where neither Ray nor MLflow is needed", limits, how)
    trial.add_argument("--workload", metavar="W", required=True)
    trial.add_argument("--submission", metavar="X", required=True)
    trial.add_argument("--study", type=_from_zero, default=0, metavar="N", help="whose draws it has, from 0 up (0)")
    trial.add_argument(
        "--point", type=_from_zero, default=0, metavar="N", help="of the search space, from 0 up (0)"
    )
    trial.add_argument("--seed", type=int, default=0, help="root of all random numbers (0)")
    trial.add_argument(
        "--record", metavar="FILE", help="add the record to it, as a line of RESULTS/SUITE/trials.jsonl (print it)"
    )
    check = verb("check", "try a submission on every workload for a few steps", limits, how)
    check.add_argument("--submission", metavar="A,B", required=True, help="names, .py files, classes, or all")
    verify = verb(
        "verify", "repeat recorded trials and say whether losses and times are the same", limits, how, over
    )
    verify.add_argument("--submission", metavar="X", required=True)
    verify.add_argument("--count", type=_at_least_one, default=1, metavar="N", help="trials a workload (1)")
    calibrate = verb("calibrate", "find one point of a submission's space for all workloads together")
    calibrate.add_argument("--submission", metavar="A,B", required=True, help="names, .py files, or all")
    calibrate.add_argument("--points", type=_at_least_one, default=5, help="points of the space to try (5)")
    targets = verb("targets", "set the targets of a suite's workloads")
    targets.add_argument("--points", type=_at_least_one, default=6, help="points of each search space (6)")
    targets.add_argument("--repeats", type=_at_least_one, default=5, help="repeats of the best point (5)")
    targets.add_argument("--families", metavar="A,B", help="search these alone (nadamw,adamw,nesterov,heavy_ball)")
    targets.add_argument("--variants", action="store_true", dest="with_variants", help="of their variants instead")
    ui = verb("ui", "serve the MLflow UI on loopback and print the leaderboard's address")
    ui.add_argument("--host", default="127.0.0.1")
    ui.add_argument("--port", type=int, default=5000)
    ui.add_argument("--public", action="store_true", help="allow a host that other machines reach")
    workloads = verb("workloads", "list the workloads of a suite", machine_readable)
    workloads.add_argument("--variants", action="store_true", dest="with_variants", help="their variants instead")
    verb("submissions", "list the submissions of the folder", machine_readable)
    verb("doctor", "machine, versions, and whether it is quiet enough to time on", machine_readable)
    perf = verb("perf", "measure what the harness adds to a step, a trial and a bench", machine_readable)
    perf.add_argument("--pairs", type=_at_least_one, default=7, help="interleaved pairs a workload (7)")
    scale = verb("scale", "measure the harness itself, with recorded curves in place of training", machine_readable)
    scale.add_argument(
        "--trials-planned", type=_at_least_one, default=100_000, metavar="N", help="of the bench (100,000)"
    )
    scale.add_argument("--mirror-s", type=float, default=20.0, metavar="N", help="seconds for MLflow (20)")
    replay = verb("replay", "what stopping trials early would have saved, and done to scores")
    replay.add_argument("--policy", metavar="A,B", help="only these: exact, give-up, forecast")
    replay.add_argument("--reference", metavar="X", help="what the anchored score and the cut compare with")
    return made

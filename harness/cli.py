"""The command line: reads arguments and the few environment variables that users set, and calls one verb.

ray, mlflow and torch are imported by the verbs that need them, so that the others answer at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.errors import PacerError, UsageError
from harness.machine import ROOT
from harness.rules import DEFAULT_STOP

_BY_SIGNAL = 128
"""The exit status of a program that a signal ended is this and the signal's number."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: ends a verb as Ctrl-C does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0 done, 1 something failed, 2 bad usage, 128 and the number of the
    signal that stopped it."""
    from workloads.datasets.errors import DatasetError

    options = _parser().parse_args(arguments)
    try:
        return options.verb(options)
    except UsageError as error:
        print(f"pacer: {error}", file=sys.stderr)
        return 2
    except (PacerError, DatasetError) as error:
        print(f"pacer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("pacer: stopped; finished trials are recorded, the same command goes on from here", file=sys.stderr)
        return _BY_SIGNAL + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def terminate(*_: Any) -> None:
    """Ends the verb under way; the handler of SIGTERM."""
    raise _Terminated


def _bench(options: argparse.Namespace) -> int:
    from harness.bench import append_report, bench
    from harness.rules import DEFAULT_WORKLOADS

    console = Console(stderr=True)
    settings = _settings(options)
    if options.suite is None and settings.workloads is None:
        settings = dataclasses.replace(settings, workloads=DEFAULT_WORKLOADS)
    report = bench(settings, console)
    _show_board(options, console, report.workloads)
    if report.trials_run:
        report = dataclasses.replace(report, wall_s=time.time() - report.started)
        append_report(settings.results, report)
        console.print(
            f"{report.trials_run} trials in {report.wall_s:.0f} s on {report.devices} devices, "
            f"{report.submission_s:.0f} s of submission time; driver, progress and Ray's services took "
            f"{100 * report.overhead_cores:.1f} % of a core while trials ran",
            highlight=False,
            soft_wrap=True,
        )
    if report.trials_lost:
        console.print(f"{report.trials_lost} trials were lost; the same command runs them again")
        return 1
    return 0


def _leaderboard(options: argparse.Namespace) -> int:
    _show_board(options, Console(stderr=True), _names(options.workloads))
    return 0


def _import_algoperf(options: argparse.Namespace) -> int:
    from harness import algoperf_facts
    from harness.import_algoperf import import_logs

    if options.ruleset is None:
        raise UsageError("which leaderboard are these the logs of? Add --ruleset external or --ruleset self")
    facts = algoperf_facts.leaderboard(options.version, options.ruleset)
    print(import_logs(Path(options.folder), facts, Path(options.results), Console(stderr=True)).as_text())
    print(
        f"next: .venv/bin/python -m harness leaderboard --suite {facts.suite} --results {options.results} --compare"
    )
    return 0


def _demo(options: argparse.Namespace) -> int:
    """Imports the published leaderboards of a folder, or those that come with Pacer, and shows them."""
    import tarfile
    from tempfile import TemporaryDirectory

    from harness.import_algoperf import import_logs, leaderboards
    from harness.show import show_board
    from scoring.mlflow_view import serve

    console, results = Console(stderr=True), Path(options.results)
    with TemporaryDirectory() as unpacked:
        if options.logs is None:
            with tarfile.open(ROOT / "tests" / "data" / "algoperf_logs.tar.xz") as archive:
                archive.extractall(unpacked, filter="data")
        found = leaderboards(Path(options.logs or unpacked))
        for facts, folder in found:
            print(import_logs(folder, facts, results, console).as_text(), end="\n\n")
    uri = options.tracking_uri
    for facts, _ in found:
        show_board(console, results, facts.suite, facts.ruleset, score="algoperf-published", tracking_uri=uri)
    serve(results, tracking_uri=uri, port=options.port)
    return 0


def _show_board(options: argparse.Namespace, console: Console, workloads: Sequence[str] | None) -> None:
    from harness.rules import DEFAULT_SUITE
    from harness.show import show_board

    show_board(
        console,
        Path(options.results),
        options.suite or DEFAULT_SUITE,
        _ruleset(options),
        workloads=workloads,
        score=options.score,
        by=options.by,
        compared=options.compare,
        as_json=options.json,
        tracking_uri=options.tracking_uri,
        mirrored=options.mirror,
    )


def _claims(options: argparse.Namespace) -> int:
    from harness.listings import claims
    from harness.records import RecordStore
    from harness.rules import DEFAULT_SUITE
    from scoring.claims import as_markdown

    suite, results = options.suite or DEFAULT_SUITE, Path(options.results)
    records, _ = RecordStore(results, suite).read()
    shown = results.relative_to(ROOT) if results.is_absolute() and results.is_relative_to(ROOT) else results
    page = as_markdown(records, claims(), suite=suite, command=f"make claims RESULTS={shown}")
    Path(options.to).write_text(page)
    print(f"{options.to}: {len(page)} characters")
    return 0


def _archive(options: argparse.Namespace) -> int:
    from harness.records import RecordStore
    from harness.rules import DEFAULT_SUITE

    suite = options.suite or DEFAULT_SUITE
    records, warnings = RecordStore(Path(options.results), suite).read()
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    named = _names(options.submissions)
    kept = [r for r in records if r.target is not None and (named is None or r.submission in named)]
    store = RecordStore(Path(options.to), suite)
    store.write_archive(kept)
    print(f"{store.archive}: {len(kept)} records, {store.archive.stat().st_size} bytes")
    return 0


def _check(options: argparse.Namespace) -> int:
    from harness.check import check

    return check(_settings(options), options.submission, Console())


def _verify(options: argparse.Namespace) -> int:
    from harness.verify import verify

    return verify(_settings(options), options.submission, options.count, Console(stderr=True))


def _calibrate(options: argparse.Namespace) -> int:
    from harness.calibrate import calibrate
    from harness.choose import expanded

    return calibrate(_settings(options), expanded(_names(options.submission)), options.points, Console(stderr=True))


def _targets(options: argparse.Namespace) -> int:
    from harness.targets import set_targets

    settings = _settings(options)
    return set_targets(settings, _listed(options, settings), options.points, options.repeats, Console())


def _perf(options: argparse.Namespace) -> int:
    from harness.perf import perf

    report = perf(_settings(options), Console(stderr=True), options.pairs)
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        print(report.as_text())
    return 0 if report.within_bounds() else 1


def _replay(options: argparse.Namespace) -> int:
    from harness.algoperf_facts import of_suite
    from harness.records import RecordStore
    from harness.replay import as_text, curves, report
    from harness.rules import DEFAULT_SUITE, REFERENCE
    from scoring.charts import savings_png

    results, suite = Path(options.results), options.suite or DEFAULT_SUITE
    records, _ = RecordStore(results, suite).read()
    published = of_suite(suite)
    reference = options.reference or (published.reference if published else REFERENCE)
    ruleset, chart = _ruleset(options), results / suite / "replay.png"
    with Console(stderr=True).status("replaying every trial under every policy"):
        made = report(records, suite=suite, ruleset=ruleset, reference=reference, only=_names(options.policy))
    print(as_text(made))
    savings_png(curves(made), chart, title=f"Stopping early on {suite}")
    print(f"chart: {chart}")
    return 0


def _ui(options: argparse.Namespace) -> int:
    from harness.rules import DEFAULT_SUITE
    from scoring.mlflow_view import serve

    serve(
        Path(options.results),
        tracking_uri=options.tracking_uri,
        suite=options.suite or DEFAULT_SUITE,
        host=options.host,
        port=options.port,
        public=options.public,
    )
    return 0


def _workloads(options: argparse.Namespace) -> int:
    from harness.listings import workloads

    settings = _settings(options)
    return _list(options, workloads(settings, _listed(options, settings)))


def _listed(options: argparse.Namespace, settings: Any) -> Sequence[Any]:
    """The workloads that were named, or their variants."""
    from harness.choose import listed_variants, listed_workloads

    return listed_variants(settings) if options.with_variants else listed_workloads(settings)


def _submissions(options: argparse.Namespace) -> int:
    from harness.listings import submissions

    return _list(options, submissions())


def _doctor(options: argparse.Namespace) -> int:
    from harness.doctor import examine

    report = examine()
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0


def _list(options: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> int:
    from rich.table import Table

    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table(box=None, pad_edge=False)
    for key in rows[0] if rows else ():
        table.add_column(key, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    Console(width=200 if not sys.stdout.isatty() else None).print(table, markup=False)
    return 0


def _settings(options: argparse.Namespace) -> Any:
    from harness.plan import Settings
    from harness.rules import DEFAULT_SUBMISSIONS, DEFAULT_SUITE, DEFAULT_TRIALS

    ruleset = _ruleset(options)
    submissions = _names(getattr(options, "submissions", None)) or DEFAULT_SUBMISSIONS
    extra = tuple(getattr(options, "submission", None) or ())
    return Settings(
        suite=options.suite or DEFAULT_SUITE,
        submissions=(*submissions, *extra),
        workloads=_names(options.workloads),
        variants=getattr(options, "variants", 0),
        variant_seed=getattr(options, "variant_seed", None),
        studies=getattr(options, "studies", 1),
        trials=getattr(options, "trials", None) or DEFAULT_TRIALS[ruleset],
        ruleset=ruleset,
        seed=getattr(options, "seed", 0),
        stop=getattr(options, "stop", DEFAULT_STOP),
        results=Path(options.results).absolute(),
        data=Path(options.data).absolute(),
        ray_address=os.environ.get("RAY_ADDRESS") or None,
        limits=_limits(options),
        checkpoint_s=getattr(options, "checkpoint_s", Settings.checkpoint_s),
    )


def _limits(options: argparse.Namespace) -> Any:
    from harness.sandbox import Limits

    asked = {field.name: getattr(options, field.name, None) for field in dataclasses.fields(Limits)}
    try:
        return Limits(**{name: value for name, value in asked.items() if value is not None})
    except ValueError as error:
        raise UsageError(str(error)) from None


def _ruleset(options: argparse.Namespace) -> str:
    """The ruleset that was named, else that of an imported suite, else self."""
    from harness.algoperf_facts import of_suite

    published = of_suite(options.suite or "")
    return options.ruleset or (published.ruleset if published else "self")


def _names(text: str | None) -> tuple[str, ...] | None:
    """Splits "a,b(c=1,d=2),e" at the commas that are in no parentheses; None for nothing."""
    names, depth = [""], 0
    for character in text or "":
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            names.append("")
        else:
            names[-1] += character
    return tuple(name.strip() for name in names if name.strip()) or None


def _at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 up")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--suite", help="all workloads of one scale: smoke, mini (the default) or base")
    common.add_argument("--workloads", metavar="A,B", help="only these of the suite")
    common.add_argument("--results", default=str(ROOT / "results"), help="folder of the records")
    common.add_argument("--data", default=str(ROOT / ".data"), help="folder of the dataset cache")
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
    board = argparse.ArgumentParser(add_help=False)
    board.add_argument("--score", choices=("anchored", "algoperf", "algoperf-published"), default="anchored")
    board.add_argument("--compare", action="store_true", help="the ranks and scores of all these side by side")
    board.add_argument("--by", choices=("time", "steps", "examples"), default="time")
    board.add_argument("--no-mlflow", dest="mirror", action="store_false", help="do not bring MLflow up to date")

    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    def verb(name: str, function: Callable[[argparse.Namespace], int], text: str, *parents: Any) -> Any:
        added = verbs.add_parser(name, help=text, description=text, parents=[common, *parents])
        added.set_defaults(verb=function)
        return added

    bench = verb(
        "bench", _bench, "run what is missing, then print the leaderboard", machine_readable, limits, board
    )
    bench.add_argument("--submissions", metavar="A,B", help="names, .py files or classes like torch.optim:RMSprop")
    bench.add_argument("--submission", metavar="X", action="append", help="one more beside the default ones")
    bench.add_argument("--studies", type=_at_least_one, default=3, help="independent repeats (3)")
    bench.add_argument("--trials", type=_at_least_one, help="points a study (self: 1, external: 5)")
    bench.add_argument("--seed", type=int, default=0, help="root of all random numbers (0)")
    bench.add_argument(
        "--stop", choices=("own-study", "exact", "forecast"), default=DEFAULT_STOP, help="when trials end early"
    )
    bench.add_argument(
        "--checkpoint-s", type=float, default=60.0, metavar="N", help="seconds between a trial's checkpoints (60)"
    )
    bench.add_argument("--variants", metavar="K", type=_at_least_one, default=0, help="draw K variants as well")
    bench.add_argument("--variant-seed", metavar="N", type=int, help="repeat the draw of this seed")
    verb("leaderboard", _leaderboard, "print the leaderboard again", machine_readable, board)
    imports = verb("import-algoperf", _import_algoperf, "read AlgoPerf's published logs into a suite of their own")
    imports.add_argument("folder", metavar="DIR", help="the folder that holds the submissions, or one above it")
    imports.add_argument("--version", choices=("0.5", "0.6"), required=True, help="of AlgoPerf")
    demo = verb("demo", _demo, "import AlgoPerf's published leaderboards, print them and open the MLflow UI")
    demo.add_argument("--logs", metavar="DIR", help="a folder of published logs, instead of those in tests/data")
    demo.add_argument("--port", type=int, default=5000)
    claims = verb("claims", _claims, "write the page of what became of each algorithm's claim")
    claims.add_argument("--to", metavar="FILE", default=str(ROOT / "docs" / "claims.md"))
    archive = verb("archive", _archive, "keep what a board needs of the records, small enough for a repository")
    archive.add_argument("--to", metavar="FOLDER", required=True, help="another folder of records")
    archive.add_argument("--submissions", metavar="A,B", help="only these, as they are named on the board")
    check = verb("check", _check, "try a submission on every workload for a few steps", limits)
    check.add_argument("--submission", metavar="X", required=True)
    verify = verb("verify", _verify, "repeat recorded trials and say whether losses and times are the same", limits)
    verify.add_argument("--submission", metavar="X", required=True)
    verify.add_argument("--count", type=_at_least_one, default=1, metavar="N", help="trials a workload (1)")
    calibrate = verb("calibrate", _calibrate, "find one point of a submission's space for all workloads together")
    calibrate.add_argument("--submission", metavar="A,B", required=True, help="names, .py files, or all")
    calibrate.add_argument("--points", type=_at_least_one, default=5, help="points of the space to try (5)")
    targets = verb("targets", _targets, "set the targets of a suite's workloads")
    targets.add_argument("--points", type=_at_least_one, default=6, help="points of each search space (6)")
    targets.add_argument("--repeats", type=_at_least_one, default=5, help="repeats of the best point (5)")
    targets.add_argument("--variants", action="store_true", dest="with_variants", help="of their variants instead")
    ui = verb("ui", _ui, "serve the MLflow UI on loopback and print the leaderboard's address")
    ui.add_argument("--host", default="127.0.0.1")
    ui.add_argument("--port", type=int, default=5000)
    ui.add_argument("--public", action="store_true", help="allow a host that other machines reach")
    workloads = verb("workloads", _workloads, "list the workloads of a suite", machine_readable)
    workloads.add_argument("--variants", action="store_true", dest="with_variants", help="their variants instead")
    verb("submissions", _submissions, "list the submissions of the folder", machine_readable)
    verb("doctor", _doctor, "machine, versions, and whether it is quiet enough to time on", machine_readable)
    perf = verb("perf", _perf, "measure what the harness adds to a step, a trial and a bench", machine_readable)
    perf.add_argument("--pairs", type=_at_least_one, default=7, help="interleaved pairs a workload (7)")
    replay = verb("replay", _replay, "what stopping trials early would have saved, and done to scores")
    replay.add_argument("--policy", metavar="A,B", help="only these: exact, give-up, forecast")
    replay.add_argument("--reference", metavar="X", help="what the anchored score and the cut compare with")
    return parser

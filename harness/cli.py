"""The command line: one function a verb.

ray, mlflow and torch are imported by the verbs that need them, so that the others answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from harness.arguments import layout_of, names, parser, ray_address, ruleset_of, settings_of
from harness.cluster import supervisor
from harness.system import processes
from pacer.errors import ClusterLost, PacerError, UsageError

_BY_SIGNAL = 128
"""The exit status of a program that a signal ended is this and the signal's number."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: ends a verb as Ctrl-C does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0 done, 1 something failed, 2 bad usage, 128 and the number of the
    signal that stopped it."""
    from workloads.datasets.errors import DatasetError

    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    address = ray_address() if options.verb == "bench" else None
    by_watchman = getattr(options, "supervised", False)
    try:
        if address and not by_watchman:
            command = [sys.executable, "-m", "harness", *arguments, "--supervised"]
            return supervisor.supervise(command, address, functools.partial(print, file=sys.stderr))
        with _results_here(options):
            status = _VERBS[options.verb](options)
    except UsageError as error:
        print(f"pacer: {error}", file=sys.stderr)
        status = 2
    except (PacerError, DatasetError) as error:
        print(f"pacer: {error}", file=sys.stderr)
        status = supervisor.CLUSTER_LOST if isinstance(error, ClusterLost) else 1
    except KeyboardInterrupt as stop:
        print("pacer: stopped; finished trials are recorded, the same command goes on from here", file=sys.stderr)
        status = _BY_SIGNAL + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    return status + (supervisor.ORDERLY if by_watchman else 0)


@contextlib.contextmanager
def _results_here(options: argparse.Namespace) -> Iterator[None]:
    """Gives a verb a folder of results, where an address was named."""
    if "://" not in options.results:
        yield
        return
    from scoring.records import remote

    with remote.opened(options.results, Console(stderr=True).print) as folder:
        options.results = str(folder)
        yield


def program() -> None:
    """The `pacer` program: runs the command that was typed and ends with its status, by SIGTERM as by Ctrl-C."""
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main())


def terminate(*_: Any) -> None:
    """Ends the verb under way; the handler of SIGTERM."""
    raise _Terminated


def _bench(options: argparse.Namespace) -> int:
    from harness.protocol.defaults import DEFAULT_WORKLOADS
    from harness.runs.bench import bench
    from harness.runs.bench_report import append_report
    from harness.runs.decide import Until, until_decided

    if options.supervised:
        processes.end_with_parent()
    console = Console(stderr=True)
    settings = settings_of(options)
    if options.suite is None and settings.workloads is None:
        settings = dataclasses.replace(settings, workloads=DEFAULT_WORKLOADS)
    if options.until_decided is None:
        reports = [bench(settings, console)]
    else:
        try:
            until = Until(sure=options.sure, budget_h=options.budget_h)
        except ValueError as error:
            raise UsageError(str(error)) from None
        reports = list(until_decided(settings, names(options.until_decided) or (), until, console))
    _show_board(options, console, reports[-1].workloads, reports[-1].fingerprint)
    reports[-1] = dataclasses.replace(reports[-1], wall_s=time.time() - reports[-1].started)
    for report in reports:
        if not report.trials_run:
            continue
        append_report(settings.results, report)
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


def _status(options: argparse.Namespace) -> int:
    from harness.report import status

    found = list(status.read(Path(options.results)))
    if options.json:
        print(json.dumps([{**dataclasses.asdict(each), "state": each.state} for each in found], indent=1))
    elif not found:
        print(f"no bench has run in {options.results} yet; start one: make bench")
    for each in () if options.json else found:
        Console(width=200 if not sys.stdout.isatty() else None).print(status.as_text(each))
    return 0


def _leaderboard(options: argparse.Namespace) -> int:
    _show_board(options, Console(stderr=True), names(options.workloads), options.hardware)
    return 0


def _import_algoperf(options: argparse.Namespace) -> int:
    from harness.algoperf import facts as algoperf_facts
    from harness.algoperf.import_logs import import_logs

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
    from harness.algoperf.find_logs import leaderboards, published
    from harness.algoperf.import_logs import import_logs
    from harness.report.show import show_board
    from scoring.mlflow_view import serve

    console, results = Console(stderr=True), Path(options.results)
    with published() if options.logs is None else contextlib.nullcontext(Path(options.logs)) as logs:
        found = leaderboards(logs)
        for facts, folder in found:
            print(import_logs(folder, facts, results, console).as_text(), end="\n\n")
    uri = options.tracking_uri
    for facts, _ in found:
        show_board(console, results, facts.suite, facts.ruleset, score="algoperf-published", tracking_uri=uri)
    serve(results, tracking_uri=uri, port=options.port)
    return 0


def _show_board(
    options: argparse.Namespace,
    console: Console,
    workloads: Sequence[str] | None,
    fingerprint: str | None = None,
) -> None:
    from harness.protocol.defaults import DEFAULT_SUITE
    from harness.report.show import show_board

    show_board(
        console,
        Path(options.results),
        options.suite or DEFAULT_SUITE,
        ruleset_of(options),
        workloads=workloads,
        fingerprint=fingerprint,
        score=options.score,
        by=options.by,
        compared=options.compare,
        as_json=options.json,
        tracking_uri=options.tracking_uri,
        mirrored=options.mirror,
        mirror_s=options.mirror_s,
        layout=layout_of(options),
    )


def _claims(options: argparse.Namespace) -> int:
    from harness.protocol.defaults import DEFAULT_SUITE
    from harness.report.listings import claims
    from scoring.claims import as_markdown
    from scoring.records import RecordStore

    suite, results = options.suite or DEFAULT_SUITE, Path(options.results)
    records, _ = RecordStore(results, suite).read()
    here = Path.cwd()
    shown = results.relative_to(here) if results.is_absolute() and results.is_relative_to(here) else results
    page = as_markdown(
        records, claims(), suite=suite, command=f"make claims RESULTS={shown}", ruleset=ruleset_of(options)
    )
    Path(options.to).parent.mkdir(parents=True, exist_ok=True)
    Path(options.to).write_text(page)
    print(f"{options.to}: {len(page)} characters")
    return 0


def _archive(options: argparse.Namespace) -> int:
    from harness.protocol.defaults import DEFAULT_SUITE
    from scoring.records import RecordStore

    suite = options.suite or DEFAULT_SUITE
    records, warnings = RecordStore(Path(options.results), suite).read()
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    named = names(options.submissions)
    kept = [r for r in records if r.target is not None and (named is None or r.submission in named)]
    store = RecordStore(Path(options.to), suite)
    store.write_archive(kept)
    print(f"{store.archive}: {len(kept)} records, {store.archive.stat().st_size} bytes")
    return 0


def _trial(options: argparse.Namespace) -> int:
    from harness.protocol.plan import checkpoint_path
    from harness.runs.single import run_single
    from harness.trial.checkpoint_store import discard
    from scoring.records import to_json

    settings = dataclasses.replace(
        settings_of(options), workloads=(options.workload,), submissions=(options.submission,)
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


def _check(options: argparse.Namespace) -> int:
    from harness.protocol.choose import expanded
    from harness.runs.check import check

    settings, console = settings_of(options), Console()
    specs = expanded(names(options.submission) or ())
    broken = [spec for spec in specs if check(settings, spec, console)]
    if len(specs) > 1:
        said = (
            f"{len(broken)} of {len(specs)} submissions have problems: {', '.join(broken)}"
            if broken
            else "all are well"
        )
        console.print(said, markup=False, soft_wrap=True)
    return 1 if broken else 0


def _verify(options: argparse.Namespace) -> int:
    from harness.runs.verify import verify

    return verify(settings_of(options), options.submission, options.count, Console(stderr=True))


def _calibrate(options: argparse.Namespace) -> int:
    from harness.protocol.choose import expanded
    from harness.studies.tune import tune

    return tune(settings_of(options), expanded(names(options.submission)), options.points, Console(stderr=True))


def _targets(options: argparse.Namespace) -> int:
    from harness.studies.targets import set_targets

    settings, named = settings_of(options), names(options.families)
    return set_targets(settings, _listed(options, settings), options.points, options.repeats, Console(), named)


def _perf(options: argparse.Namespace) -> int:
    from harness.studies.perf import perf

    report = perf(settings_of(options), Console(stderr=True), options.pairs)
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        print(report.as_text())
    return 0 if report.within_bounds() else 1


def _scale(options: argparse.Namespace) -> int:
    from harness.studies.scale import scale

    report = scale(
        options.trials_planned,
        Console(stderr=True),
        mirror_s=options.mirror_s,
        ray_address=settings_of(options).ray_address,
    )
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0 if report.within_bounds() else 1


def _replay(options: argparse.Namespace) -> int:
    from harness.algoperf.facts import of_suite
    from harness.protocol.defaults import DEFAULT_SUITE, REFERENCE
    from scoring.charts import savings_png
    from scoring.records import RecordStore
    from scoring.replay import as_text, curves, report

    results, suite = Path(options.results), options.suite or DEFAULT_SUITE
    records, _ = RecordStore(results, suite).read()
    published = of_suite(suite)
    reference = options.reference or (published.reference if published else REFERENCE)
    ruleset, chart = ruleset_of(options), results / suite / "replay.png"
    with Console(stderr=True).status("replaying every trial under every policy"):
        made = report(records, suite=suite, ruleset=ruleset, reference=reference, only=names(options.policy))
    print(as_text(made))
    savings_png(curves(made), chart, title=f"Stopping early on {suite}")
    print(f"chart: {chart}")
    return 0


def _ui(options: argparse.Namespace) -> int:
    from harness.protocol.defaults import DEFAULT_SUITE
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
    from harness.report.listings import workloads

    settings = settings_of(options)
    return _list(options, workloads(settings, _listed(options, settings)))


def _listed(options: argparse.Namespace, settings: Any) -> Sequence[Any]:
    """The workloads that were named, or their variants."""
    from harness.protocol.choose import listed_variants, listed_workloads

    return listed_variants(settings) if options.with_variants else listed_workloads(settings)


def _submissions(options: argparse.Namespace) -> int:
    from harness.report.listings import submissions

    return _list(options, submissions())


def _doctor(options: argparse.Namespace) -> int:
    from harness.report.doctor import examine

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


_VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "bench": _bench,
    "status": _status,
    "leaderboard": _leaderboard,
    "import-algoperf": _import_algoperf,
    "demo": _demo,
    "claims": _claims,
    "archive": _archive,
    "trial": _trial,
    "check": _check,
    "verify": _verify,
    "calibrate": _calibrate,
    "targets": _targets,
    "perf": _perf,
    "scale": _scale,
    "replay": _replay,
    "ui": _ui,
    "workloads": _workloads,
    "submissions": _submissions,
    "doctor": _doctor,
}
"""Each does what was asked for and returns the exit status."""

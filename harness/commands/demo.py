"""`pacer demo`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.kinds import Folder, Port
from harness.commands.shared.options import Results, TrackingUri

EXAMPLES = ("pacer demo", "pacer demo --logs path/to/logs")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Import the leaderboards that AlgoPerf published, print them and open the MLflow UI."""

    logs: Annotated[Folder | None, Parameter(help="A folder of published logs, instead of those of Pacer.")] = None
    results: Results = field(default_factory=lambda: f"{places.default_results()}/demo")
    tracking_uri: TrackingUri = field(default_factory=places.tracking_uri)
    port: Annotated[Port, Parameter(help="Port to serve on; the kernel picks one where it is taken.")] = 5000


def run(options: Options) -> int:
    """Imports what is new, prints each board, and serves until Ctrl-C."""
    from harness.algoperf.find_logs import leaderboards, published
    from harness.algoperf.import_logs import import_logs
    from harness.report.show import Presentation, show_board
    from scoring.board import BoardQuery
    from scoring.mlflow_view import serve

    console, results = Console(stderr=True), Path(options.results)
    with published() if options.logs is None else contextlib.nullcontext(Path(options.logs)) as logs:
        boards = leaderboards(logs)
        for facts, folder in boards:
            print(import_logs(folder, facts, results, console).as_text(), end="\n\n")
    presentation = Presentation(tracking_uri=options.tracking_uri)
    for facts, _ in boards:
        query = BoardQuery(
            suite=facts.suite, ruleset=facts.ruleset, reference=facts.reference, score="algoperf-published"
        )
        show_board(console, results, query, presentation)
    serve(results, tracking_uri=options.tracking_uri, port=options.port)
    return 0

"""`pacer leaderboard`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.options import (
    BoardGroup,
    BoardOptions,
    ClusterGroup,
    ClusterLayout,
    Hardware,
    Results,
    RulesetOption,
    Suite,
    Workloads,
    ruleset_of,
)
from harness.protocol.defaults import DEFAULT_SUITE

if TYPE_CHECKING:
    from scoring.board import BoardQuery

EXAMPLES = (
    "pacer leaderboard",
    "pacer leaderboard --suite mini --by steps --score algoperf",
    "pacer leaderboard --compare",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print the leaderboard again, and write its table and charts."""

    suite: Suite = None
    workloads: Workloads = None
    ruleset: RulesetOption = None
    hardware: Annotated[Hardware, Parameter(help="Whose board. [that with the most records]")] = None
    results: Results = field(default_factory=places.default_results)
    layout: ClusterGroup = field(default_factory=ClusterLayout)
    board: BoardGroup = field(default_factory=BoardOptions)


def query_of(options: Options) -> BoardQuery:
    """The board that is asked for."""
    suite = options.suite or DEFAULT_SUITE
    ruleset = ruleset_of(options.ruleset, suite)
    return options.board.query(suite, ruleset, options.workloads, options.hardware)


def run(options: Options) -> int:
    """Shows the board."""
    from harness.commands.shared import again
    from harness.report.show import show_board

    console, results, layout = Console(stderr=True), Path(options.results), options.layout.layout()
    board = show_board(console, results, query_of(options), options.board.presentation(), layout)
    if not options.board.compare:
        again.write_for_leaderboard(board, options.results, layout, console)
    return 0

"""What Python programs and notebooks call: a bench, the records of one, and boards.

The options are those of the commands `pacer bench` and `pacer leaderboard`, by the same names with `_` for `-`,
and are checked as those are. Raises PacerError, whose text says what is wrong and what was expected; nothing ends
the program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from harness.commands import bench as bench_command
from harness.commands import leaderboard as leaderboard_command
from harness.commands.shared import again, places
from harness.commands.shared.given import SETTINGS, Given
from harness.commands.shared.line import arguments_of, read
from harness.commands.shared.results import results_here
from harness.protocol.defaults import DEFAULT_SUITE
from harness.report.show import Boards, open_boards, publish
from pacer.errors import PacerError, UsageError
from scoring.board import Board
from scoring.records import Record, RecordStore
from scoring.tables import as_markdown, as_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from harness.runs.bench_report import BenchReport

Value = str | PathLike[str] | bool | int | float | Sequence[str] | None
"""What an option may be: as in a settings file, or None for its default."""

_PRINTING = ("json", "compare")
"""Options that say how a command prints."""

_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """A board that prints as a table, in a terminal and in a notebook.

    `board` holds all numbers: its `rows` are best first. `reports` are what the benches that made it did, none
    where it was made of records alone. `settings` is the file that makes it again: `pacer bench FILE`, or
    `pacer.bench(FILE)`.
    """

    board: Board
    reports: tuple[BenchReport, ...] = ()
    settings: Path | None = None

    def __str__(self) -> str:
        return as_text(self.board, next_command="pacer ui")

    def _repr_markdown_(self) -> str:
        return as_markdown(self.board)

    def to_frame(self) -> DataFrame:
        """A pandas table, a row a submission, best first: rank, score, its 95 % interval, tie group, speed-up,
        what a ladder score is made of, and a column a workload with the value to the target that the board ranks
        by, NaN for a miss.

        >>> pacer.board(results="results/forty").to_frame().loc["lion", ["rank", "score"]]  # doctest: +SKIP
        """
        from pandas import DataFrame

        rows = [
            {
                "submission": row.submission,
                "rank": row.rank,
                "score": row.score,
                "score_low": row.score_low,
                "score_high": row.score_high,
                "p_ahead_of_next": row.p_ahead_of_next,
                "tie_group": row.tie_group,
                "speedup": row.speedup,
                **(vars(row.ladder) if row.ladder else {}),
                **{workload: cell.value for workload, cell in row.workloads.items()},
            }
            for row in self.board.rows
        ]
        table = DataFrame(rows).set_index("submission")
        numbers = [name for name in table.columns if name not in ("rank", "tie_group")]
        return table.astype(dict.fromkeys(numbers, float))


def _signed(verb: str) -> Callable[[_F], _F]:
    """Gives a function the options of a command as its signature, for help() and completion."""

    def sign(function: _F) -> _F:
        names = [
            a.name.lstrip("-").lower().replace("-", "_") for a in arguments_of(verb) if a.parse and a.name != "*"
        ]
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        known = [name for name in names if name not in (*_PRINTING, SETTINGS, *(p.name for p in own))]
        more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None) for n in known]
        function.__dict__["__signature__"] = inspect.Signature([*own, *more])
        return function

    return sign


@_signed("bench")
def bench(settings: str | PathLike[str] | None = None, /, **options: Value) -> Leaderboard:
    """Runs what is missing of a benchmark, and returns its board; `settings` is a TOML file of options.

    Does what `pacer bench` does, save the printing of the board: trials are recorded in `results`, whatever is
    recorded there already is not run again, and progress goes to standard error.

    >>> board = pacer.bench(submissions=["nadamw", "lion"], workloads=["mnist_resnet"])  # doctest: +SKIP
    >>> print(board)  # doctest: +SKIP
    >>> board = pacer.bench("board.toml", studies=10, results="elsewhere")  # doctest: +SKIP
    """
    with results_here(_options("bench", {SETTINGS: settings, **options})) as asked:
        console, layout = Console(stderr=True), asked.layout.layout()
        reports = bench_command.run_trials(asked, console)
        query = bench_command.query_of(asked, reports[-1])
        boards = open_boards(Path(asked.results), query, layout)
        made = boards.build()
        publish(boards, made, Path(asked.results), console, asked.board.presentation(), layout)
        repeat = bench_command.settings_to_repeat(asked, made)
        path = again.write_for_bench(made, asked.results, layout, repeat, console)
        lost = sum(report.trials_lost for report in reports)
        if lost:
            raise PacerError(f"{lost} trials were lost; the same call runs them again")
    return Leaderboard(board=made, reports=tuple(reports), settings=path)


@_signed("leaderboard")
def board(results: str | PathLike[str] | None = None, **options: Value) -> Leaderboard:
    """The board of what is recorded in a folder of results, "results" where none is named. Writes nothing.

    >>> print(pacer.board(results="results/forty", by="steps"))  # doctest: +SKIP
    """
    with results_here(_options("leaderboard", {**options, "results": results})) as asked:
        return Leaderboard(board=_boards(asked).build())


def records(results: str | PathLike[str] | None = None, *, suite: str = DEFAULT_SUITE) -> DataFrame:
    """The trials that are recorded of a suite, imported ones too: a pandas table, a row a trial.

    `time_to_target_s`, `steps_to_target` and `examples_to_target` are NaN for a miss; `last_value` and
    `best_value` are of the validation metric, over the evaluations that the record holds. Times are in seconds.

    >>> table = pacer.records("results/forty")  # doctest: +SKIP
    >>> table.groupby(["submission", "workload"]).time_to_target_s.median()  # doctest: +SKIP
    """
    from pandas import DataFrame

    named = places.default_results() if results is None else results
    with results_here(_options("leaderboard", {"results": named, "suite": suite})) as asked:
        recorded, _ = RecordStore(Path(asked.results), suite).read()
    table = DataFrame([_row(record) for record in recorded], columns=list(_COLUMNS))
    return table.astype({name: kind for name, kind in _COLUMNS.items() if kind is not None})


_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("suite", "workload", "submission", "ruleset", "seed", "study", "trial"), None),
    "outcome": None,
    **dict.fromkeys(("time_to_target_s", "steps_to_target", "examples_to_target"), float),
    **dict.fromkeys(("submission_s", "budget_s"), float),
    "steps": float,
    "metric": None,
    **dict.fromkeys(("target", "last_value", "best_value", "test_value"), float),
    **dict.fromkeys(("hardware", "fingerprint", "devices", "variant_of", "workload_hash", "submission_hash"), None),
}
"""The columns of the table of records, and the type of those that are numbers."""


def _row(record: Record) -> dict[str, Any]:
    crossing = record.crossing
    values = [each.value for each in record.evaluations if each.value is not None]
    best = max if record.higher_is_better else min
    made = {
        "outcome": record.outcome.value,
        "time_to_target_s": crossing and crossing.time_s,
        "steps_to_target": crossing and crossing.step,
        "examples_to_target": crossing and crossing.examples,
        "steps": record.evaluations[-1].step if record.evaluations else 0,
        "last_value": values[-1] if values else None,
        "best_value": best(values) if values else None,
    }
    return {name: made[name] if name in made else getattr(record, name) for name in _COLUMNS}


def _boards(asked: leaderboard_command.Options) -> Boards:
    return open_boards(Path(asked.results), leaderboard_command.query_of(asked), asked.layout.layout())


def _options(verb: str, options: dict[str, Any]) -> Any:
    """The options of a command, checked. Raises UsageError."""
    for name in _PRINTING:
        if options.get(name) is not None:
            raise UsageError(f"{name} says how `pacer {verb}` prints; here, print the board or read its fields")
    request = read([verb], Given(options, "python"))
    assert request is not None
    return request.options

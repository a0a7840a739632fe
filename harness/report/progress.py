"""What a person sees while trials run: a line for each that ends, and a bar with the time left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.protocol.plan import Plan
from harness.protocol.trial import Trial
from harness.report.status import DeviceStatus, devices_table
from harness.report.words import describe, duration
from scoring.records import Record

_ROUGH_SHARE = 0.5
"""Share of its budget that a trial is expected to take before any trial has ended."""

_LINES_LEFT = 12
"""Of a terminal's height, what is left to the lines of trials that have ended."""


class TrialProgress:
    """Counts trials down and estimates the time left from those of the same workload that have ended."""

    def __init__(self, trials: Sequence[Trial], devices: int, console: Console) -> None:
        self._console = console
        self._devices = devices
        self._running: tuple[DeviceStatus, ...] = ()
        sizes = trials.sizes() if isinstance(trials, Plan) else _sizes(trials)
        self._left = Counter({name: count for name, (count, _) in sizes.items()})
        self._budgets = {name: budget_s for name, (_, budget_s) in sizes.items()}
        self._walls: defaultdict[str, _Mean] = defaultdict(_Mean)
        self._share = _Mean()
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=len(trials), left=self._left_text())

    @property
    def total(self) -> int:
        """All trials, those that have ended included."""
        return int(self._bar.tasks[0].total or 0)

    @contextmanager
    def shown(self) -> Iterator[TrialProgress]:
        """Draws the bar while the context lasts, where the output is a terminal."""
        if self._console.is_terminal:
            with Live(get_renderable=self._draw, console=self._console, refresh_per_second=2):
                yield self
        else:
            yield self

    def running(self, running: Sequence[DeviceStatus], devices: int) -> None:
        """Shows what runs where, and estimates with so many devices from now on."""
        self._running, self._devices = tuple(running), devices

    def _draw(self) -> Group:
        return Group(self._bar, devices_table(self._running, max(1, self._console.height - _LINES_LEFT)))

    def seconds_left(self) -> float:
        """Wall seconds until the last trial ends, roughly."""
        total, share = 0.0, self._share.value if self._share.count else _ROUGH_SHARE
        for name, count in self._left.items():  # so many workloads, however many trials
            walls = self._walls[name]
            total += count * (walls.value if walls.count else share * self._budgets[name] + 1.0)
        return total / max(1, self._devices)

    def ended(self, record: Record) -> None:
        """Shows a trial that has ended."""
        self._left[record.workload] -= 1
        self._walls[record.workload].add(record.wall_s)
        self._share.add(record.wall_s / record.budget_s)
        self._bar.update(self._task, advance=1, left=self._left_text())
        done, total = self._bar.tasks[0].completed, self._bar.tasks[0].total
        text = f"[{done:.0f}/{total:.0f}] {record.workload}  {record.submission}  study {record.study}"
        if record.trial:
            text += f" trial {record.trial}"
        tail = "" if self._console.is_terminal else f"  ({self._left_text()})"
        self._console.print(f"{text}: {describe(record)}{tail}", markup=False, highlight=False, soft_wrap=True)

    def lost(self, trial: Trial, reason: str) -> None:
        """Shows a trial that left no record."""
        self._left[trial.workload] -= 1
        self._bar.update(self._task, advance=1, left=self._left_text())
        name = f"{trial.workload} {trial.submission.name} study {trial.study}"
        self._console.print(f"lost: {name}: {_last_line(reason)}", markup=False)

    def repeated(self, trial: Trial, reason: str, node: str | None = None) -> None:
        """Shows a trial that has to be run again, and the node it was on."""
        name = f"{trial.id} on {node}" if node else str(trial.id)
        self._console.print(
            f"run again: {name}: {_last_line(reason)}", markup=False, highlight=False, soft_wrap=True
        )

    def _left_text(self) -> str:
        return f"about {duration(self.seconds_left())} left" if self._left.total() > 0 else "done"


def _last_line(reason: str) -> str:
    return reason.splitlines()[-1] if reason else "unknown reason"


@dataclass
class _Mean:
    """A mean that numbers are added to."""

    count: int = 0
    total: float = 0.0

    def add(self, number: float) -> None:
        self.count += 1
        self.total += number

    @property
    def value(self) -> float:
        return self.total / self.count


def _sizes(trials: Sequence[Trial]) -> dict[str, tuple[int, float]]:
    """As Plan.sizes; trials of one workload may have budgets that differ, and their mean counts."""
    budgets: defaultdict[str, _Mean] = defaultdict(_Mean)
    for trial in trials:
        budgets[trial.workload].add(trial.budget_s)
    return {name: (mean.count, mean.value) for name, mean in budgets.items()}

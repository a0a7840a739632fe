"""What a person sees while trials run: a line for each that ends, and a bar with the time left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.plan import Plan, Trial
from harness.records import Outcome, Record

_ROUGH_SHARE = 0.5
"""Share of its budget that a trial is expected to take before any trial has ended."""


class TrialProgress:
    """Counts trials down and estimates the time left from those of the same workload that have ended."""

    def __init__(self, trials: Sequence[Trial], devices: int, console: Console) -> None:
        self._console = console
        self._devices = devices
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

    @contextmanager
    def shown(self) -> Iterator[TrialProgress]:
        """Draws the bar while the context lasts, where the output is a terminal."""
        if self._console.is_terminal:
            with self._bar:
                yield self
        else:
            yield self

    def seconds_left(self) -> float:
        """Wall seconds until the last trial ends, roughly."""
        total, share = 0.0, self._share.value if self._share.count else _ROUGH_SHARE
        for name, count in self._left.items():  # so many workloads, however many trials
            walls = self._walls[name]
            total += count * (walls.value if walls.count else share * self._budgets[name] + 1.0)
        return total / self._devices

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
        first_line = reason.splitlines()[-1] if reason else "unknown reason"
        self._console.print(
            f"lost: {trial.workload} {trial.submission.name} study {trial.study}: {first_line}", markup=False
        )

    def repeated(self, trial: Trial, reason: str) -> None:
        """Shows a trial that has to be run again."""
        last_line = reason.splitlines()[-1] if reason else "unknown reason"
        name = f"{trial.workload}  {trial.submission.name}  study {trial.study}"
        self._console.print(f"run again: {name}: {last_line}", markup=False, highlight=False, soft_wrap=True)

    def _left_text(self) -> str:
        return f"about {duration(self.seconds_left())} left" if self._left.total() > 0 else "done"


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


def describe(record: Record) -> str:
    """How a trial ended, in a few words."""
    last = record.evaluations[-1] if record.evaluations else None
    value = "none" if last is None or last.value is None else f"{last.value:.4f}"
    if record.outcome is Outcome.REACHED and last is not None:
        return f"reached {record.metric} {value} in {last.time_s:.1f} s, {last.step} steps"
    if record.outcome is Outcome.ERROR and record.failure is not None:
        failure = record.failure
        place = f" ({failure.file}:{failure.line})" if failure.file else ""
        return f"error in {failure.hook}{place}: {failure.kind}: {failure.message.partition(chr(10))[0][:160]}"
    if record.outcome is Outcome.UNSUITABLE:
        return f"does not apply: {record.reason}"
    if record.reason is not None:
        return f"not run: {record.reason}"
    if record.target is None:
        return f"ended with {record.metric} {value}"
    ends = {
        Outcome.BUDGET: f"missed the target in its budget of {record.budget_s:.1f} s",
        Outcome.COMPLETE: "ended by itself without reaching the target",
        Outcome.OUTRUN: "stopped, another trial of its study was faster",
        Outcome.SETTLED: "stopped, it could change no score any more",
        Outcome.CUT: "stopped, so slow that it would have earned nothing",
        Outcome.UNPROMISING: "stopped, it was foreseen to miss the target",
        Outcome.DIVERGED: "diverged",
    }
    return f"{ends.get(record.outcome, record.outcome)}, {record.metric} {value}"


def duration(seconds: float) -> str:
    """Seconds for a person: 45 s, 7 min, 3.2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

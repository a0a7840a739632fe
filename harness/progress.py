"""What a person sees while trials run: a line for each that ends, and a bar with the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.plan import Trial
from harness.records import Outcome, Record

_ROUGH_SHARE = 0.5
"""Share of its budget that a trial is expected to take before any trial has ended."""


class TrialProgress:
    """Counts trials down and estimates the time left from those of the same workload that have ended."""

    def __init__(self, trials: list[Trial], devices: int, console: Console) -> None:
        self._console = console
        self._devices = devices
        self._left = {(t.workload, t.submission.name, t.study, t.trial): t for t in trials}
        self._walls: dict[str, list[float]] = {}
        self._shares: list[float] = []
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
        total, share = 0.0, fmean(self._shares) if self._shares else _ROUGH_SHARE
        for trial in self._left.values():
            walls = self._walls.get(trial.workload)
            total += fmean(walls) if walls else share * trial.budget_s + 1.0
        return total / self._devices

    def ended(self, record: Record) -> None:
        """Shows a trial that has ended."""
        self._left.pop((record.workload, record.submission, record.study, record.trial), None)
        self._walls.setdefault(record.workload, []).append(record.wall_s)
        self._shares.append(record.wall_s / record.budget_s)
        self._bar.update(self._task, advance=1, left=self._left_text())
        done, total = self._bar.tasks[0].completed, self._bar.tasks[0].total
        text = f"[{done:.0f}/{total:.0f}] {record.workload}  {record.submission}  study {record.study}"
        if record.trial:
            text += f" trial {record.trial}"
        tail = "" if self._console.is_terminal else f"  ({self._left_text()})"
        self._console.print(f"{text}: {describe(record)}{tail}", markup=False, highlight=False, soft_wrap=True)

    def lost(self, trial: Trial, reason: str) -> None:
        """Shows a trial that left no record."""
        self._left.pop((trial.workload, trial.submission.name, trial.study, trial.trial), None)
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
        return f"about {duration(self.seconds_left())} left" if self._left else "done"


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

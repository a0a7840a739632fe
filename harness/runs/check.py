"""`make check`: trains a submission for a few steps on every workload and prints what is wrong with it."""

from __future__ import annotations

import time

from rich.console import Console

from harness.protocol.choose import listed_workloads
from harness.protocol.ending import EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from harness.trial.referee import run_trial
from pacer.errors import UsageError
from scoring.records import Outcome, Record
from submissions.registry import resolve

_STEPS = 6
_ENDING = EverySteps(every=3, last=_STEPS, budget_s=30.0, stop_at_target=False)


def check(settings: Settings, spec: str, console: Console) -> int:
    """Tries a submission everywhere; 0 where all is well, 1 where something is not. Raises UsageError."""
    try:
        submission = resolve(spec)
    except ValueError as error:
        raise UsageError(str(error)) from None
    broken = 0
    for workload in listed_workloads(settings):
        trial = Trial.of(settings, workload, submission, _ENDING)
        start = time.perf_counter()
        record = run_trial(trial)
        complaint = _complaint(record)
        broken += complaint is not None
        line = complaint or _description(record, time.perf_counter() - start)
        console.print(f"{workload.name:<20} {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{submission.name}: {broken} workloads with problems" if broken else f"{submission.name}: all is well",
        markup=False,
    )
    return 1 if broken else 0


def _description(record: Record, seconds: float) -> str:
    """Of a short trial with which nothing is wrong, and that took so many seconds."""
    if record.outcome is Outcome.UNSUITABLE:
        return f"does not apply: {record.reason}"
    if not record.evaluations:
        return f"not run: {record.reason}"
    last = record.evaluations[-1]
    return f"ok: {last.step} steps, {record.metric} {last.value:.4f}, {seconds:.1f} s"


def _complaint(record: Record) -> str | None:
    """What is wrong with a short trial, None for nothing."""
    failure = record.failure
    if failure is not None:
        where = f" at {failure.file}:{failure.line}" if failure.file else ""
        text = f"{failure.hook} failed{where}: {failure.kind}: {failure.message}"
        return f"{text}\n{failure.traceback}" if failure.traceback else text
    if record.outcome is Outcome.DIVERGED:
        return f"diverged: {record.metric} is not a finite number after {record.evaluations[-1].step} steps"
    if any(e.train_loss is None for e in record.evaluations):
        return "update returned a loss that is not a finite number"
    if record.outcome is Outcome.COMPLETE and record.evaluations and record.evaluations[-1].step < _STEPS:
        return f"ended by itself after {record.evaluations[-1].step} steps"
    return None

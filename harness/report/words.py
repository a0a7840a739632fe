"""Text for people: how a trial ended, and durations."""

from __future__ import annotations

from scoring.records import Outcome, Record


def describe(record: Record) -> str:
    """How a trial ended, in a few words, and whether its time is to be trusted."""
    counts = record.busy and record.target is not None  # without a target, steps are what is wanted
    return _ending(record) + (f"; {_shared(record)}" if counts else "")


def _shared(record: Record) -> str:
    took = f"other work took {record.contention_share:.0%} of its core"
    return took if record.waited_s is None else f"{took}, which is off its clock"


def _ending(record: Record) -> str:
    last = record.evaluations[-1] if record.evaluations else None
    value = "none" if last is None or last.value is None else f"{last.value:.4f}"
    if record.outcome is Outcome.REACHED and last is not None:
        return f"reached {record.metric} {value} in {last.time_s:.1f} s, {last.step} steps"
    if record.outcome is Outcome.ERROR and record.failure is not None:
        failure = record.failure
        where = f" ({failure.file}:{failure.line})" if failure.file else ""
        return f"error in {failure.hook}{where}: {failure.kind}: {failure.message.partition(chr(10))[0][:160]}"
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

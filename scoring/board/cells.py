"""The cells of a board: what each submission did on each workload, and what broke its trials."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from scoring import times
from scoring.board.values import Cell
from scoring.records import Outcome, Record, finite
from scoring.scores import Array
from scoring.selection import Selection

_LONGEST_MESSAGE = 120


def cells_of(
    chosen: Selection, results: times.Times, by: str, *, ratios: Array, credits: Array
) -> list[dict[str, Cell]]:
    """The cells of each submission by workload, in the order of `chosen`; ratios and credits [S, W]."""
    values = times.median(results.on(by))
    medians = {name: times.median(getattr(results, name)) for name in ("time_s", "steps", "examples")}
    aimed = {w: any(r.target is not None for r in chosen.of_workload(w)) for w in chosen.workloads}
    return [
        {
            workload: Cell(
                **{name: finite(median[s, w]) for name, median in medians.items()},
                reached=bool(np.isfinite(values[s, w])),
                value=finite(values[s, w]),
                ratio=finite(ratios[s, w]),
                credit=finite(credits[s, w]),
                **_studies(results.on(by)[s, w], results.sustained[s, w], aimed=aimed[workload]),
                failures=_failures(chosen.trials.get((submission, workload), ())),
                unsuitable=chosen.reason(submission, workload),
            )
            for w, workload in enumerate(chosen.workloads)
        }
        for s, submission in enumerate(chosen.submissions)
    ]


def _studies(results: np.ndarray, sustained: np.ndarray, *, aimed: bool) -> dict[str, Any]:
    """The fields of a Cell that come from its studies' results on the board's axis [K]; `aimed`: whether there is a
    target."""
    # Plain numbers, as they are few: numpy would take ten times as long.
    there = [result for result in results.tolist() if not math.isnan(result)]
    hits = sorted(result for result in there if math.isfinite(result))
    firm = [flag for flag in sustained.tolist() if not math.isnan(flag)]
    return {
        "studies": len(there),
        "studies_reached": len(hits) if aimed else None,
        "spread": (hits[-1] - hits[0]) / statistics.median(hits) if len(hits) > 1 else None,
        "sustained": all(firm) if firm else None,
    }


def _failures(trials: Sequence[Record]) -> tuple[str, ...]:
    """What broke trials, the commonest first: outcome, hook, line and the first line of the message."""
    counts = Counter(_failure(r) for r in trials if r.outcome in (Outcome.ERROR, Outcome.DIVERGED))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(text if n == 1 else f"{n} x {text}" for text, n in ordered)


def _failure(record: Record) -> str:
    failure = record.failure
    if failure is None:
        return record.outcome.value
    where = f" ({PurePath(failure.file).name}:{failure.line})" if failure.file else ""
    message = (failure.message.splitlines() or [""])[0]
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 3] + "..."
    return f"{record.outcome.value} in {failure.hook}{where}: {failure.kind}: {message}".removesuffix(": ")

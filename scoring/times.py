"""Records to times: the result of each study, and the median over studies.

A study is one independent repeat of a submission's tuning; its result is that of its fastest trial, or of the one
that another rule picks. A miss counts as infinite, so a median over studies is finite only where more than half
reached the target (as in AlgoPerf; for an even number, the mean of the two middle ones, infinite if either is).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scoring.records import Evaluation, Outcome, Record
from scoring.records.curve import COLUMNS
from scoring.records.protocol import BUDGET_FACTOR
from scoring.scores import Array

AXES = {"time": "time_s", "steps": "step", "examples": "examples"}  # how boards rank: the field of an Evaluation
_LEAST = 1e-9  # a target met before the first step: 0 has no ratio to anything


@dataclass(frozen=True, kw_only=True)
class Times:
    """Study results by submission, workload and study: arrays [S, W, K]; inf for a miss, NaN for no such study.

    `time_s` in seconds, `steps` and `examples`: those of the study's deciding trial. `sustained`: 1 or 0 for
    whether its next evaluation met the target too, NaN where it made none or missed.
    """

    time_s: Array
    steps: Array
    examples: Array
    sustained: Array

    def on(self, by: str) -> Array:
        """The results on one axis: "time", "steps" or "examples"."""
        return {"time": self.time_s, "steps": self.steps, "examples": self.examples}[by]


def crossing(record: Record) -> Evaluation | None:
    """The evaluation that counts as reaching the target, or None.

    A trial that ended in an error never counts, whatever it had reached: the error may be a broken rule. Nor does a
    time that is not a number.
    """
    at = None if record.outcome is Outcome.ERROR else record.crossing
    return at if at is not None and math.isfinite(at.time_s) else None


def sustained(record: Record, at: Evaluation) -> bool | None:
    """Whether the evaluation after `at` met the target too; None where there is none."""
    for here, after in pairwise(record.evaluations):
        if here is at:
            return record.meets(after.value)
    return None


def studies(trials: Sequence[Record]) -> list[list[Record]]:
    """The trials of one submission on one workload by study, in order. Two root seeds make two sets of studies."""
    groups: dict[tuple[int, int], list[Record]] = {}
    for record in sorted(trials, key=lambda r: (r.seed, r.study, r.trial)):
        groups.setdefault((record.seed, record.study), []).append(record)
    return list(groups.values())


Hit = tuple[Evaluation, Record]
"""A trial that reached its target, with the evaluation that did."""

Pick = Callable[[Sequence[Hit], str], Hit]
"""Which hit of a study, by trial and never none, decides it on an axis."""


def fastest(hits: Sequence[Hit], by: str) -> Hit:
    """The rule as written: the hit that is first on the axis."""
    return min(hits, key=lambda hit: getattr(hit[0], AXES[by]))


def fewest_evaluations(hits: Sequence[Hit], by: str) -> Hit:
    """How AlgoPerf's published numbers were made: the hit with the fewest evaluations before it.

    There, the first that the file system listed decided between equals, which no log tells; here the faster does,
    and the published tables come out.
    """

    def before(hit: Hit) -> tuple[int, float]:
        at, record = hit
        index = next(i for i, e in enumerate(record.evaluations) if e is at)
        return record.skipped + index, getattr(at, AXES[by])

    return min(hits, key=before)


def interpolated_crossing(record: Record, at: Evaluation) -> tuple[float, float, float]:
    """Seconds, steps and examples at which a straight line from the best value before the crossing `at` to its
    value meets the target; those of the crossing itself where no value is before it."""
    table = record.learning_curve().table()
    before = table[: int(np.searchsorted(table[:, COLUMNS.index("step")], at.step))]
    step, examples, time_s, best = before[-1] if len(before) else (np.nan,) * len(COLUMNS)
    if math.isnan(best) or at.value is None or record.target is None:
        return at.time_s, float(at.step), float(at.examples)
    share = (record.target - best) / (at.value - best)
    return (
        float(time_s + share * (at.time_s - time_s)),
        float(step + share * (at.step - step)),
        float(examples + share * (at.examples - examples)),
    )


def study_result(
    trials: Sequence[Record], by: str, pick: Pick = fastest, interpolated: bool = False
) -> tuple[float, float, float, float]:
    """(seconds, steps, examples, sustained) of the trial that decides on the axis `by`; a miss is inf and NaN.

    `interpolated`: at the crossing between evaluations, after the deciding trial is picked by evaluations.
    """
    hits = [(at, record) for record in trials if (at := crossing(record)) is not None]
    if not hits:
        return math.inf, math.inf, math.inf, math.nan
    at, record = pick(hits, by)
    firm = sustained(record, at)
    there = interpolated_crossing(record, at) if interpolated else (at.time_s, float(at.step), float(at.examples))
    time_s, step, examples = (max(value, _LEAST) for value in there)
    return time_s, step, examples, math.nan if firm is None else float(firm)


def collect(
    cells: Mapping[tuple[str, str], Sequence[Record]],
    submissions: Sequence[str],
    workloads: Sequence[str],
    by: str,
    pick: Pick = fastest,
    interpolated: bool = False,
) -> Times:
    """The study results of all cells; cells maps (submission, workload) to trials."""
    grouped = {key: studies(trials) for key, trials in cells.items()}
    most = max((len(group) for group in grouped.values()), default=1)
    results = np.full((4, len(submissions), len(workloads), most), np.nan)
    for s, submission in enumerate(submissions):
        for w, workload in enumerate(workloads):
            for k, trials in enumerate(grouped.get((submission, workload), ())):
                results[:, s, w, k] = study_result(trials, by, pick, interpolated)
    return Times(time_s=results[0], steps=results[1], examples=results[2], sustained=results[3])


def median(values: Array) -> Array:
    """The median over the last axis, NaN left out: inf where half or more are inf, or where there is nothing."""
    ordered = np.sort(values, axis=-1)  # inf after every number, NaN last
    count = (~np.isnan(values)).sum(axis=-1)
    low, high = (
        np.take_along_axis(ordered, np.maximum(middle, 0)[..., None], axis=-1)[..., 0]
        for middle in ((count - 1) // 2, count // 2)
    )
    return np.where(count > 0, (low + high) / 2, np.inf)


def budget(trials: Sequence[Record], by: str) -> float:
    """What the trials of a workload were allowed on the axis `by`: the least that one that missed can have needed.

    Seconds as recorded, or where the budget is not known (0, in imported logs) those that were used; in steps the
    ruleset's factor x the step hint, in examples that many batches. inf for no trials.
    """
    if not trials:
        return math.inf
    if by == "time":
        return max(float(np.median([r.budget_s or r.submission_s for r in trials])), _LEAST)
    steps = BUDGET_FACTOR[trials[0].ruleset] * trials[0].step_hint
    return steps if by == "steps" else steps * float(np.median([r.batch_size for r in trials]))

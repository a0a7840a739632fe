"""The ladder of a board: the speed-ups of all studies on all workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pacer.errors import RecordsError
from scoring import times
from scoring.ladder.curves import AXES, Curves
from scoring.ladder.levels import levels_of
from scoring.ladder.speedups import FLOOR, log_speedups
from scoring.records import Outcome, Record
from scoring.scores import Array
from scoring.selection import Selection

StudyKey = tuple[int, int]
"""The root seed and the number of a study. Submissions that have the same start from the same weights."""

_STOPPED = (Outcome.OUTRUN, Outcome.SETTLED, Outcome.CUT, Outcome.UNPROMISING, Outcome.REACHED)
"""Endings by our choice: such a trial would have gone on."""

_WHOLE = 0.9
"""The share of its budget from which a trial counts as one that trained until its budget was spent."""

_VOID = (Outcome.ERROR, Outcome.UNSUITABLE)


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Logarithms of speed-ups over the reference, [S, W, K] for submissions, workloads and studies; NaN where there
    is no such study, and on a workload without levels.

    `studies` names the K. `on` has the ladder speed-ups by axis: "time", "steps", "examples". `step_time`: those of
    seconds per step. `reached` [S, W, K]: 1 where the study reached the target, else 0. `levels`: of each workload
    with any, as values of its metric, from easy to hard. `reference`: its row among the S.
    """

    studies: tuple[StudyKey, ...]
    on: Mapping[str, Array]
    step_time: Array
    reached: Array
    levels: Mapping[str, tuple[float, ...]]
    reference: int


def climb(chosen: Selection, reference: str) -> Ladder:
    """The ladder of the records of a board. Raises RecordsError where the reference has no trials among them."""
    if reference not in chosen.submissions:
        raise RecordsError(
            f"the ladder score is relative to {reference}, which has no trials here; name another reference with "
            f"REFERENCE= (--reference), one of: {', '.join(chosen.submissions)}; or use SCORE=algoperf"
        )
    grouped = {key: _by_study(trials) for key, trials in chosen.trials.items()}
    studies = tuple(sorted({study for own in grouped.values() for study in own}))
    place = {study: k for k, study in enumerate(studies)}
    shape = len(chosen.submissions), len(chosen.workloads), len(studies)
    logs, step_time, reached = np.full((*shape, 3), np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    levels = {}
    for w, workload in enumerate(chosen.workloads):
        own = _deciding(grouped.get((reference, workload), {}).values())
        if not own:
            continue
        higher, target = own[0].higher_is_better, own[0].target
        curves = Curves.of([record.learning_curve() for record in own], higher_is_better=higher)
        sign = 1.0 if higher else -1.0
        rungs = levels_of(curves, None if target is None else sign * target)
        if not len(rungs):
            continue
        levels[workload] = tuple((sign * rungs).tolist())
        marks = Curves(at=curves.at[np.isfinite(curves.finals)], best=curves.best[np.isfinite(curves.finals)])
        records, cells = [], []
        for s, submission in enumerate(chosen.submissions):
            for study, trials in grouped.get((submission, workload), {}).items():
                (record,) = _deciding([trials], void=True)
                if record.evaluations or record.outcome not in _STOPPED:  # else it was never started
                    records.append(record)
                    cells.append((s, w, place[study]))
        all_curves = Curves.of([record.learning_curve() for record in records], higher_is_better=higher)
        found = log_speedups(
            all_curves,
            marks,
            rungs,
            ended=np.array([_broke_off(record) for record in records]),
            void=np.array([record.outcome in _VOID for record in records]),
        )
        index = tuple(np.array(cells).T)
        logs[np.setdiff1d(np.arange(shape[0]), index[0]), w] = FLOOR  # not run is a miss, as in every score
        logs[index] = found
        reached[index] = [record.outcome not in _VOID and record.crossing is not None for record in records]
        step_time[index] = _step_times(marks).mean() - _step_times(all_curves)
    return Ladder(
        studies=studies,
        on={name: logs[..., axis] for name, axis in AXES.items()},
        step_time=step_time,
        reached=reached,
        levels=levels,
        reference=chosen.submissions.index(reference),
    )


def _broke_off(record: Record) -> bool:
    """Whether a trial ended by itself before its budget was spent, or was not evaluated any more until then; also
    where the budget is not known, as in imported logs, which do not say why a trial ended."""
    if record.outcome is Outcome.BUDGET and record.budget_s and record.evaluations:
        return record.evaluations[-1].time_s < _WHOLE * record.budget_s
    return record.outcome not in _STOPPED


def _by_study(trials: Sequence[Record]) -> dict[StudyKey, list[Record]]:
    return {(own[0].seed, own[0].study): own for own in times.studies(trials)}


def _deciding(studies: Iterable[Sequence[Record]], *, void: bool = False) -> list[Record]:
    """The trial of each study that decides it: the first to reach the target, else the one with the best value.
    With `void`, studies without a trial that counts have their first one."""
    found = []
    for trials in studies:
        counting = [record for record in trials if record.outcome not in _VOID]
        if counting:
            found.append(min(counting, key=_rank))
        elif void:
            found.append(trials[0])
    return found


def _rank(record: Record) -> tuple[float, float]:
    """Smaller is better: seconds to the target, then the best value."""
    if (at := times.crossing(record)) is not None:
        return at.time_s, 0.0
    table = record.learning_curve().table()
    best = table[-1, -1] if len(table) else np.nan
    return np.inf, np.inf if np.isnan(best) else -best if record.higher_is_better else best


def _step_times(curves: Curves) -> Array:
    """Logarithms of seconds per step, [T]; NaN without a step."""
    steps, seconds = curves.ends[:, AXES["steps"]], curves.ends[:, AXES["time"]]
    return np.where(steps >= 1, np.log(seconds) - np.log(steps), np.nan)

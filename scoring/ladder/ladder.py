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
    seconds per step. `levels`: of each workload
    with any, as values of its metric, from easy to hard. `reference`: its row among the S.
    """

    studies: tuple[StudyKey, ...]
    on: Mapping[str, Array]
    step_time: Array
    levels: Mapping[str, tuple[float, ...]]
    reference: int


def climb(chosen: Selection, reference: str) -> Ladder:
    """The ladder of the records of a board. Raises RecordsError where the reference has no trials among them."""
    if reference not in chosen.submissions:
        aimed = any(record.target is not None for trials in chosen.trials.values() for record in trials)
        raise RecordsError(
            f"the ladder score is relative to {reference}, which has no trials here; name another reference with "
            f"REFERENCE= (--reference), one of: {', '.join(chosen.submissions)}"
            + ("; or use SCORE=algoperf" if aimed else "")
        )
    grouped = {key: _by_study(trials) for key, trials in chosen.trials.items()}
    studies = tuple(sorted({study for by_study in grouped.values() for study in by_study}))
    place = {study: k for k, study in enumerate(studies)}
    shape = len(chosen.submissions), len(chosen.workloads), len(studies)
    logs, step_time = np.full((*shape, 3), np.nan), np.full(shape, np.nan)
    levels = {}
    for w, workload in enumerate(chosen.workloads):
        own = _reference_of(grouped.get((reference, workload), {}).values())
        if own is None:
            continue
        levels[workload] = own.as_values()
        deciding = {
            (s, w, place[study]): record
            for s, submission in enumerate(chosen.submissions)
            for study, trials in grouped.get((submission, workload), {}).items()
            if _was_started(record := _deciding(trials))
        }
        records, index = list(deciding.values()), tuple(np.array(list(deciding)).T)
        curves = _curves(records)
        logs[np.setdiff1d(np.arange(shape[0]), index[0]), w] = FLOOR  # not run is a miss, as in every score
        logs[index] = log_speedups(
            curves,
            own.curves,
            own.levels,
            ended=np.array([_broke_off(record) for record in records]),
            void=np.array([record.outcome in _VOID for record in records]),
        )
        step_time[index] = _step_times(own.curves).mean() - _step_times(curves)
    return Ladder(
        studies=studies,
        on={name: logs[..., axis] for name, axis in AXES.items()},
        step_time=step_time,
        levels=levels,
        reference=chosen.submissions.index(reference),
    )


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """The reference on a workload: the curves of its studies and the levels [L] from them, higher being better."""

    curves: Curves
    levels: Array
    sign: float

    def as_values(self) -> tuple[float, ...]:
        """The levels as values of the metric."""
        return tuple((self.sign * self.levels).tolist())


def _reference_of(studies: Iterable[Sequence[Record]]) -> _Reference | None:
    """None where no study of the reference has a trial that counts and a value."""
    records = [record for trials in studies if (record := _deciding(trials)).outcome not in _VOID]
    curves = _curves(records).with_values() if records else None
    if curves is None or not len(curves.best):
        return None
    sign, target = 1.0 if records[0].higher_is_better else -1.0, records[0].target
    return _Reference(curves=curves, levels=levels_of(curves, None if target is None else sign * target), sign=sign)


def _curves(records: Sequence[Record]) -> Curves:
    """The learning curves of trials on one workload."""
    higher = records[0].higher_is_better
    return Curves.of([record.learning_curve() for record in records], higher_is_better=higher)


def _was_started(record: Record) -> bool:
    """Whether it is more than the note that a trial could change nothing."""
    return bool(record.evaluations) or record.outcome not in _STOPPED


def _broke_off(record: Record) -> bool:
    """Whether a trial ended by itself before its budget was spent, or was not evaluated any more until then; also
    where the budget is not known, as in imported logs, which do not say why a trial ended."""
    if record.outcome is Outcome.BUDGET and record.budget_s and record.evaluations:
        return record.evaluations[-1].time_s < _WHOLE * record.budget_s
    return record.outcome not in _STOPPED


def _by_study(trials: Sequence[Record]) -> dict[StudyKey, list[Record]]:
    return {(own[0].seed, own[0].study): own for own in times.studies(trials)}


def _deciding(trials: Sequence[Record]) -> Record:
    """The trial that decides a study: of those that count the first to reach the target, else the one with the
    best value; where none counts, the first one."""
    counting = [record for record in trials if record.outcome not in _VOID]
    return min(counting, key=_rank) if counting else trials[0]


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

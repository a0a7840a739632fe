"""Plays a bench again that has all its studies, with studies spent where they decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scoring.ladder import climb
from scoring.paired import Differences, noise_over
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.scores import Array
from scoring.selection import Selection, select
from scoring.spend.allocate import Rule, Standing, neighbours, next_studies, standing


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a bench stands after some `studies`, which took `hours` of device time.

    `decided`: the share of neighbours on the board that is. `change`: the largest change of any ladder score
    against the board of all studies, in logarithms. `over_interval`: the largest such change as a multiple of the
    half of that row's own interval. `where`: the pairs.
    """

    hours: float
    studies: int
    decided: float
    change: float
    over_interval: float
    where: Standing


def play_records(records: Sequence[Record], query: BoardQuery, rule: Rule | None = None) -> list[Point]:
    """The points of a bench of these records, from one study of each submission to where nothing more decides.

    Raises RecordsError where there are no trials, or none of the reference.
    """
    chosen = select(records, query)
    full = climb(chosen, query.reference)
    place = {study: k for k, study in enumerate(full.studies)}
    seconds = np.zeros((len(chosen.submissions), len(place)))
    for (submission, _), trials in chosen.trials.items():
        for record in trials:
            k = place[record.seed, record.study]
            seconds[chosen.submissions.index(submission), k] += record.submission_s

    def shown(have: Sequence[int]) -> Array:
        logs = climb(_with_studies(chosen, have, place), query.reference).on[query.by]
        return np.pad(logs, ((0, 0), (0, 0), (0, len(place) - logs.shape[-1])), constant_values=np.nan)

    return play(shown, full.on[query.by], full.reference, seconds, rule or Rule())


def play(
    shown: Callable[[Sequence[int]], Array], full: Array, reference: int, seconds: Array, rule: Rule
) -> list[Point]:
    """The same for `full` logarithms of speed-ups [S, W, K] that take `seconds` [S, K]; `shown` gives those that
    are known of where the submissions have so many studies."""
    total, most = seconds.shape
    final = Differences.of(full - full[reference]).value
    have = [1] * total
    points: list[Point] = []
    while True:
        logs = shown(have)
        own = Differences.of(logs - logs[reference], noise_over(logs, reference))
        where = standing(logs, reference, neighbours(logs, reference), rule)
        low, high = own.interval()
        changes = np.abs(own.value - final)
        half = np.where(np.isfinite(high - low), (high - low) / 2, np.inf)
        shares = np.divide(changes, half, out=np.zeros(total), where=half > 0)
        spent_s = sum(seconds[s, :studies].sum() for s, studies in enumerate(have))
        points.append(
            Point(
                hours=float(spent_s) / 3600,
                studies=sum(have),
                decided=where.share,
                change=float(changes.max()),
                over_interval=float(shares.max()),
                where=where,
            )
        )
        wanted = next_studies(where, have, seconds.mean(axis=1).tolist(), most=most)
        if not wanted:
            return points
        for s, studies in wanted.items():
            have[s] = studies


def _with_studies(chosen: Selection, have: Sequence[int], place: dict[tuple[int, int], int]) -> Selection:
    """The records of the first so many studies of each submission."""
    count = dict(zip(chosen.submissions, have, strict=True))
    kept = {
        cell: own
        for cell, trials in chosen.trials.items()
        if (own := [r for r in trials if place[r.seed, r.study] < count[cell[0]]])
    }
    return replace(chosen, trials=kept)

"""How often an adaptive bench is wrong: each submission is on the board twice, as two copies of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.scores import Array
from scoring.spend import Rule, play
from scoring.validity.intervals import Share, neighbours
from scoring.versus import Verdict

DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class SpendAlarms:
    """Of adaptive benches of up to `studies` studies: the share of pairs of copies of which one was ever called
    better, and the share of the device time of all studies that they took."""

    studies: int
    false_alarms: Share
    device_time: float


def spend_alarms(
    logs: Array, reference: int, *, rule: Rule | None = None, draws: int = DRAWS, seed: int = 0
) -> SpendAlarms:
    """From logarithms of speed-ups [S, W, K]: half of the studies of a submission go to each of its copies.

    Of two neighbouring studies, which run at about the same time, each copy gets one by lot. The pairs of studies
    come in an order that is drawn, and each draw is played to its end. Raises ValueError for fewer than four
    studies.
    """
    total = logs.shape[-1]
    if total < 4:
        raise ValueError(f"{total} studies are complete, expected 4 or more")
    most, stream, count = total // 2, np.random.default_rng(seed), len(logs)
    alarms, shares = 0, []
    for _ in range(draws):
        copies = _copies(logs, stream)
        points = play(
            lambda have, copies=copies: _first(copies, have),
            copies,
            reference,
            np.ones((2 * count, most)),
            rule or Rule(),
        )
        better = {
            min(pair)
            for point in points
            for pair, verdict in zip(point.where.pairs, point.where.verdicts, strict=True)
            if max(pair) - min(pair) == count and verdict is Verdict.BETTER
        }
        alarms += len(better)
        shares.append(points[-1].studies / (2 * count * most))
    return SpendAlarms(
        studies=most,
        false_alarms=Share(count=alarms, of=draws * count),
        device_time=float(np.mean(shares)),
    )


def _copies(logs: Array, stream: np.random.Generator) -> Array:
    """Both copies [2 S, W, K // 2] of each submission; copy s + S is of the other half of the studies of s."""
    first, second = neighbours(logs)
    count, _, half = first.shape
    order, turned = stream.permutation(half), stream.random((count, 1, half)) < 0.5
    return np.concatenate([np.where(turned, second, first), np.where(turned, first, second)])[..., order]


def _first(logs: Array, have: Sequence[int]) -> Array:
    return np.where(np.arange(logs.shape[-1]) < np.array(have)[:, None, None], logs, np.nan)

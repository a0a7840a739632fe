"""Which pairs are decided, and which submissions get another study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scoring.paired import Differences, Noise, more_studies, noise_over
from scoring.scores import Array
from scoring.sequential import level_of
from scoring.versus import MARGIN, Verdict, judged

_ROUNDS = 20

Pair = tuple[int, int]
"""The rows of two submissions."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a pair is decided: wrongly with a probability of `alpha` at most however often it is looked at, and as
    equivalent within a `margin`."""

    alpha: float = 0.05
    margin: float = MARGIN


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where P pairs stand. `verdicts`: of each, UNDECIDED while it is open. `more`: of each how many more studies
    would decide it with a probability of 80 % if the estimates are right; 0 for one that is decided, None where not
    even very many would. `reference`: its row, which has a study wherever another one has."""

    pairs: tuple[Pair, ...]
    verdicts: tuple[Verdict, ...]
    more: tuple[int | None, ...]
    reference: int

    @property
    def decided(self) -> int:
        """How many of the pairs are."""
        return sum(verdict is not Verdict.UNDECIDED for verdict in self.verdicts)

    @property
    def share(self) -> float:
        """The share of the pairs that is decided, 1 where there are none."""
        return self.decided / len(self.pairs) if self.pairs else 1.0


def neighbours(logs: Array, reference: int) -> tuple[Pair, ...]:
    """The pairs of neighbours on the board of logarithms of speed-ups [S, W, K], NaN where a study was not run."""
    scores = Differences.of(logs - logs[reference]).value
    return tuple(pairwise(sorted(range(len(scores)), key=lambda s: (-scores[s], s))))


def standing(logs: Array, reference: int, pairs: Sequence[Pair], rule: Rule) -> Standing:
    """Judges pairs by the studies of logarithms of speed-ups [S, W, K] that both of a pair have.

    A pair is looked at after each of these, and decided by the first look that decides it (scoring.sequential).
    After one study the noise is that of all other submissions.
    """
    noise = noise_over(logs, reference)
    differences = np.stack([logs[first] - logs[second] for first, second in pairs]) if pairs else logs[:0]
    verdicts = _verdicts(differences, noise, rule)
    return Standing(
        pairs=tuple(pairs),
        verdicts=tuple(verdicts),
        more=tuple(
            _more(Differences.of(own[None], noise), rule) if verdict is Verdict.UNDECIDED else 0
            for own, verdict in zip(differences, verdicts, strict=True)
        ),
        reference=reference,
    )


def _verdicts(differences: Array, noise: Noise, rule: Rule) -> list[Verdict]:
    """Of each of the differences [P, W, K] that of the first look that decides it."""
    count = np.isfinite(differences).any(axis=1).cumsum(axis=1)  # [P, K], studies in common so far
    verdicts = [Verdict.UNDECIDED] * len(differences)
    for studies in range(1, int(count.max(initial=0)) + 1):
        own = Differences.of(np.where(count[:, None] <= studies, differences, np.nan), noise)
        low, high = own.interval(level_of(studies, first=1, alpha=rule.alpha))
        for p in range(len(differences)):
            if verdicts[p] is Verdict.UNDECIDED and count[p, -1] >= studies:
                verdicts[p] = judged(low[p], high[p], rule.margin)
    return verdicts


def _more(own: Differences, rule: Rule) -> int | None:
    if not np.isfinite(own.error[0]):
        return 1  # nothing is known of the noise yet
    value = abs(float(own.value[0]))
    return more_studies(own, max(value, float(np.log1p(rule.margin)) - value))


def next_studies(
    where: Standing,
    have: Sequence[int],
    seconds: Sequence[float],
    *,
    most: int,
    fill: int = 1,
    within_s: float = np.inf,
) -> dict[int, int]:
    """The submissions that get more studies, and how many each then has.

    `have` [S]: the studies of each. `seconds` [S]: the device time of one study of each. The open pairs get one
    study more, those that take the least device time to decide first, until at least `fill` studies are added, and
    a twentieth of those that there are: looking at a large board takes its time, too. None is added that would make
    it take more than `within_s`. Empty where no pair is left that `most` studies decide.
    """

    wanted: dict[int, int] = {}
    spent_s, added = 0.0, 0
    for _, pair in _affordable(where, have, seconds, most):
        studies = min(have[s] for s in pair) + 1
        new = {s: studies for s in (*pair, where.reference) if wanted.get(s, have[s]) < studies}
        takes_s = sum(seconds[s] * (studies - wanted.get(s, have[s])) for s in new)
        if spent_s + takes_s > within_s:
            continue
        wanted |= new
        spent_s, added = spent_s + takes_s, added + len(new)
        if added >= max(fill, sum(have) // _ROUNDS):
            break
    return wanted


def device_s_to(
    where: Standing, have: Sequence[int], seconds: Sequence[float], *, share: float, most: int
) -> float | None:
    """The device seconds that it probably takes until a share of the pairs is decided, None where `most` studies
    will not do."""
    lacking = math.ceil(share * len(where.pairs) - 1e-9) - where.decided
    costs = [cost for cost, _ in _affordable(where, have, seconds, most)]
    return sum(costs[: max(0, lacking)]) if lacking <= len(costs) else None


def _affordable(
    where: Standing, have: Sequence[int], seconds: Sequence[float], most: int
) -> list[tuple[float, Pair]]:
    """The open pairs that `most` studies decide, with the device seconds that this takes, the least first."""
    found = []
    for pair, more in zip(where.pairs, where.more, strict=True):
        if more and (studies := min(have[s] for s in pair) + more) <= most:
            members = {*pair, where.reference}
            found.append((sum(seconds[s] * max(0, studies - have[s]) for s in members), pair))
    return sorted(found)

"""What a policy did to scores and to time, on a bench and on newcomers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring import scores, times
from scoring.ladder import climb
from scoring.names import LADDER
from scoring.paired import Differences
from scoring.records import Record
from scoring.replay.run import by_pair, replay
from scoring.scores import Array
from scoring.selection import Selection
from scoring.stopping import Policy

TIMES = ("algoperf", "anchored")
"""The scores of times to targets."""

TOLERANCES = {"algoperf": 0.01, "anchored": 0.01, LADDER: 0.03}
"""By score the largest change that may pass for none; of the ladder score, of its logarithm."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a policy did: seconds of submission time that it spent, the largest change of any submission's score by
    score, and the (submission, workload) whose credit fell to 0 in either."""

    spent_s: float
    changes: Mapping[str, float]
    lost: tuple[tuple[str, str], ...]

    def change(self, names: Sequence[str] = TIMES) -> float:
        """The largest change of any of these scores; 0 for those that there are not."""
        return max((self.changes[name] for name in names if name in self.changes), default=0.0)


def credits(records: Sequence[Record], reference: str | None) -> dict[str, dict[tuple[str, str], float]]:
    """The credit of every (submission, base workload) by score: "algoperf" with its held-out rules, "anchored"."""
    submissions = sorted({r.submission for r in records})
    bases = sorted({r.workload for r in records if r.variant_of is None})
    variants = {r.workload: r.variant_of for r in records if r.variant_of in bases}
    values = times.median(times.collect(by_pair(records), submissions, [*bases, *variants], "time").time_s)
    held_out = {len(bases) + v: bases.index(base) for v, base in enumerate(variants.values())}
    budget = np.array([times.budget([r for r in records if r.workload == name], "time") for name in bases])
    row = submissions.index(reference) if reference in submissions else None
    by_score = {
        "algoperf": scores.algoperf(values, held_out=held_out),
        "anchored": scores.anchored(values[:, : len(bases)], reference=row, budget=budget),
    }
    return {
        name: {(s, w): float(credit[i, j]) for i, s in enumerate(submissions) for j, w in enumerate(bases)}
        for name, credit in by_score.items()
    }


def effect_of(before: Sequence[Record], after: Sequence[Record], spent_s: float, reference: str | None) -> Effect:
    """The effect of a policy that left the records `after` of those `before`, in `spent_s` of submission time."""
    were, are = credits(before, reference), credits(after, reference)
    old, new = ({name: _scores(credit) for name, credit in both.items()} for both in (were, are))
    changes = {name: max(abs(old[name][s] - new[name][s]) for s in old[name]) for name in old}
    if reference is not None and any(record.submission == reference for record in before):
        changes[LADDER] = float(np.abs(_ladder(before, reference) - _ladder(after, reference)).max())
    lost = {key for name in were for key, credit in were[name].items() if credit > 0 and are[name][key] == 0}
    return Effect(spent_s=spent_s, changes=changes, lost=tuple(sorted(lost)))


def _scores(credit: Mapping[tuple[str, str], float]) -> dict[str, float]:
    by_submission: defaultdict[str, list[float]] = defaultdict(list)
    for (submission, _), value in credit.items():
        by_submission[submission].append(value)
    return {name: sum(values) / len(values) for name, values in by_submission.items()}


def _ladder(records: Sequence[Record], reference: str) -> Array:
    """Logarithms of the ladder scores by time, of the submissions in order."""
    trials = by_pair(records)
    chosen = Selection(
        trials=trials,
        submissions=tuple(sorted({name for name, _ in trials})),
        workloads=tuple(sorted({workload for _, workload in trials})),
        fingerprint="",
        hardware="",
        count=len(records),
        code=(),
        warnings=(),
    )
    climbed = climb(chosen, reference)
    return Differences.of(climbed.on["time"] - climbed.on["time"][climbed.reference]).value


def newcomer_effects(records: Sequence[Record], policy: Policy, reference: str | None) -> dict[str, Effect]:
    """The effect on each submission in turn, the others known."""
    names = sorted({record.submission for record in records})
    return {name: effect_of(records, *replay(records, policy, newcomer=name), reference) for name in names}


def together(effects: Collection[Effect]) -> Effect:
    """Several effects as one: the sum of the times, the largest changes, everything that any lost."""
    return Effect(
        spent_s=sum(effect.spent_s for effect in effects),
        changes={name: max(effect.changes[name] for effect in effects) for name in next(iter(effects)).changes},
        lost=tuple(sorted({key for effect in effects for key in effect.lost})),
    )


def pick(
    records: Sequence[Record],
    policies: Mapping[str, Policy],
    submission: str,
    reference: str | None,
    names: Sequence[str] = TIMES,
) -> str:
    """The cheapest policy that moves none of the scores `names` by more than its tolerance where `submission` has
    never run.

    The mildest, which comes first, where they all do.
    """
    others = [record for record in records if record.submission != submission]
    effects = {
        label: together(newcomer_effects(others, policy, reference).values()) for label, policy in policies.items()
    }
    fit = [label for label, effect in effects.items() if _passes(effect, names)] or [next(iter(policies))]
    return min(fit, key=lambda label: effects[label].spent_s)


def _passes(effect: Effect, names: Sequence[str]) -> bool:
    return all(effect.changes.get(name, 0.0) <= TOLERANCES[name] for name in names)

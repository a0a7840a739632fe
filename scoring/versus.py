"""One submission against another: paired ladder speed-ups, a verdict, and how many more studies would decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from pacer.errors import RecordsError, UsageError
from scoring.ladder import Ladder, climb
from scoring.names import Axis
from scoring.paired import Differences, more_studies, noise_over
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.selection import Selection, select

MARGIN = 0.05
"""Two submissions whose speeds differ by less are as good as each other."""


class Verdict(StrEnum):
    """What a comparison comes to."""

    BETTER = "better"  # one of the two is, and the sign of the difference says which
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """A over B: how many times sooner A comes to the same levels. `low`, `high`: its 95 % interval, None where a
    single study cannot tell. `more_studies`: how many more would decide it with a probability of 80 % if the
    estimates are right; 0 where it is decided, None where not even 1,000 would or that cannot be told."""

    speedup: float
    low: float | None
    high: float | None
    verdict: Verdict
    more_studies: int | None
    studies: int


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A against B, over all workloads that both are made for and by workload (None where one has no trials or is
    not made for it). `reference` is whose curves the levels are of. `differences` are the logarithms, [1]."""

    a: str
    b: str
    by: Axis
    margin: float
    reference: str
    overall: Speedup
    in_steps: Speedup
    differences: Differences
    workloads: Mapping[str, Speedup | None]

    @property
    def winner(self) -> str | None:
        """The better one of the two, None where neither is known to be."""
        if self.overall.verdict is not Verdict.BETTER:
            return None
        return self.a if self.overall.speedup > 1.0 else self.b

    def as_json(self) -> dict[str, Any]:
        """As plain values; the fields of the whole comparison, and the same of each workload."""
        return {
            "a": self.a,
            "b": self.b,
            "by": self.by,
            "reference": self.reference,
            "margin": self.margin,
            **vars(self.overall),
            "winner": self.winner,
            "in_steps": vars(self.in_steps),
            "workloads": {name: own and vars(own) for name, own in self.workloads.items()},
        }


def versus(records: Sequence[Record], a: str, b: str, query: BoardQuery, margin: float = MARGIN) -> Versus:
    """Compares two submissions of a board. Without trials of the reference, the levels are those of `b`.

    Raises UsageError for a submission against itself or a margin that is none, RecordsError where one of the two
    has no trials or no workload is left.
    """
    if a == b:
        raise UsageError(f"{a} is to be compared with itself; name two submissions: --a lion --b adamw")
    if not 0.0 < margin < 1.0:
        raise UsageError(f"the margin is {margin}, expected a share between 0 and 1, such as 0.05")
    chosen = select(records, query)
    for name in (a, b):
        if name not in chosen.submissions:
            raise RecordsError(
                f"no finished trials of {name} in suite {query.suite} with ruleset {query.ruleset}; there are some "
                f"of {', '.join(chosen.submissions)}; {query.advice}"
            )
    reference = query.reference if query.reference in chosen.submissions else b
    climbed = climb(chosen, reference)
    found = between(chosen, climbed, a, b, query.by, margin)
    if found is None:
        raise RecordsError(f"{a} and {b} have no workload in common that both are made for; {query.advice}")
    return replace(found, reference=reference)


def between(chosen: Selection, climbed: Ladder, a: str, b: str, by: Axis, margin: float = MARGIN) -> Versus | None:
    """The same from a ladder that is made; None where the two have no workload in common."""
    first, second = chosen.submissions.index(a), chosen.submissions.index(b)
    common = np.array([not any(no_result(chosen, name, w) for name in (a, b)) for w in chosen.workloads])

    def differences(axis: Axis) -> Differences:
        logs = climbed.on[axis]
        own = np.where(common[:, None], logs[first] - logs[second], np.nan)
        return Differences.of(own[None], noise_over(logs, climbed.reference))

    own = differences(by)
    if np.isnan(own.value[0]):
        return None
    return Versus(
        a=a,
        b=b,
        by=by,
        margin=margin,
        reference=chosen.submissions[climbed.reference],
        overall=_speedup(own, margin),
        in_steps=_speedup(differences("steps"), margin),
        differences=own,
        workloads={
            name: None if np.isnan(own.on_workloads[0, w]) else _speedup(own.only(w), margin)
            for w, name in enumerate(chosen.workloads)
        },
    )


def _speedup(own: Differences, margin: float) -> Speedup:
    low, high = (float(end[0]) for end in own.interval())
    known = np.isfinite(low)
    ends = (float(np.exp(low)), float(np.exp(high))) if known else (None, None)
    verdict = judged(low, high, margin) if known else Verdict.UNDECIDED
    counts = own.counts[0][np.isfinite(own.on_workloads[0])]
    return Speedup(
        speedup=float(np.exp(own.value[0])),
        low=ends[0],
        high=ends[1],
        verdict=verdict,
        more_studies=0 if verdict is not Verdict.UNDECIDED else more_studies(own, _distance(own, margin)),
        studies=int(counts.min()),
    )


def _distance(own: Differences, margin: float) -> float:
    """How far the difference is from where the verdict changes: from 0, or within the margin from its end."""
    value = abs(float(own.value[0]))
    return max(value, float(np.log1p(margin)) - value)


def judged(low: float, high: float, margin: float) -> Verdict:
    """The verdict on the interval of a difference of logarithms. An interval within the margin is equivalence, also
    where it leaves out 0: the two one-sided tests of Schuirmann (1987, J. Pharmacokinet. Biopharm. 15)."""
    if -np.log1p(margin) < low and high < np.log1p(margin):
        return Verdict.EQUIVALENT
    return Verdict.BETTER if low > 0.0 or high < 0.0 else Verdict.UNDECIDED


def no_result(chosen: Selection, submission: str, workload: str) -> str | None:
    """Why a submission has no result on a workload, "not run" or "n/a"; None where it has one."""
    if (submission, workload) not in chosen.trials:
        return "not run"
    return "n/a" if chosen.reason(submission, workload) else None

"""Policies that stop a trial once no score by time can change, whatever it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.records import Outcome
from scoring.scores import CUT
from scoring.stopping.finished import (
    FinishedTrial,
    FinishedTrials,
    by_study,
    fastest,
    median_at_most,
    surely_missed,
)
from scoring.stopping.rules import NEVER, AllOf, StopRule, TrialContext, Until


@dataclass(frozen=True)
class OwnStudy:
    """A study's result is its fastest trial, so a trial stops at the best time of its study so far."""

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """Until the fastest trial of the same seed and study."""
        return Until(fastest(context.own_study(finished)), Outcome.OUTRUN)


@dataclass(frozen=True)
class Missed:
    """A trial need not start where so many studies missed that the median is a miss whatever it does.

    `Median` (b) alone: where studies hit, none is stopped, and intervals are those of whole trials.
    """

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """From the start, or never."""
        return _from_start(_surely_missed(context.other_studies(finished), context))


@dataclass(frozen=True)
class Median:
    """A trial stops once its study can no longer change the median over studies.

    Of n studies the median is the mean of the middle two in order, which for odd n are one, and infinite if either
    is; the upper one is the h-th, h = n // 2 + 1. The study's result t moves the j-th smallest of all n only
    between the (j - 1)-th and the j-th of the others. So t changes nothing
    (a) from the h-th of the others on: their results now, later ones counted as infinite, bound it from above;
    (b) at all, if the (h - 1)-th of the others is infinite: n - h + 1 of them are known to be misses.
    """

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """Until the h-th of the other studies' results."""
        others = context.other_studies(finished)
        if _surely_missed(others, context):
            return _from_start(True)
        results = sorted(fastest(study) for study in by_study(others))
        upper = context.studies // 2
        return Until(results[upper] if upper < len(results) else math.inf, Outcome.SETTLED)


@dataclass(frozen=True)
class BaseMissed:
    """Under the held-out rules a variant counts only where its base workload was reached.

    Saves most where variants run after their base workloads.
    """

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """From the start where the base workload is a miss for certain, or never."""
        base = finished.get((context.submission, context.variant_of), ()) if context.variant_of else ()
        return _from_start(_surely_missed(base, context))


@dataclass(frozen=True)
class Cut:
    """A submission's time (its median over studies) above 4 x the mark earns nothing, as a miss does.

    The mark is the reference's time, or with `reference` None the fastest submission's. The second is for the
    algoperf score only; the first is exact for both, as the fastest is no slower than the reference.

    What is known bounds the mark from above: the medians with unknown studies as infinite. For an odd number of
    studies, a result above 4 x the mark may be called infinite: if the median is below it, it is not the median;
    if not, the median was above the cut anyway. For an even number the median is a mean of two and only above
    8 x the mark is it certain to be above the cut.

    Two are never cut: the reference itself, whose time is the mark; and a workload with variants, since a base
    workload that is slow but reached lets a fast variant set the mark of others (AlgoPerf counts variants before
    it cuts).
    """

    reference: str | None = None

    def rule(self, context: TrialContext, finished: FinishedTrials) -> StopRule:
        """Until just above 4 or 8 times the mark."""
        if context.submission == self.reference or context.has_variants:
            return NEVER
        factor = CUT if context.studies % 2 else 2 * CUT
        return Until(math.nextafter(factor * self._mark_at_most(context, finished), math.inf), Outcome.CUT)

    def _mark_at_most(self, context: TrialContext, finished: FinishedTrials) -> float:
        workload, base, studies = context.workload, context.variant_of, context.studies
        # Of a reference its own trials alone are looked at: there may be very many others.
        marking = [s for s, w in finished if w == workload] if self.reference is None else [self.reference]
        if base:  # a variant counts only where its base workload is reached
            marking = [
                s for s in marking if math.isfinite(median_at_most(finished.get((s, base), ()), studies=studies))
            ]
        medians = [median_at_most(finished.get((s, workload), ()), studies=studies) for s in marking]
        return min(medians, default=math.inf)


def exact_policies(reference: str | None = None, *, held_out: bool = False) -> AllOf:
    """All exact policies; `reference` as in `Cut`. `held_out`: scores are over base workloads, and variants only
    decide whether those count; elsewhere a variant is a workload like others."""
    sure = (OwnStudy(), Median(), Cut(reference))
    return AllOf((*sure, BaseMissed()) if held_out else sure)


def _surely_missed(trials: Sequence[FinishedTrial], context: TrialContext) -> bool:
    return surely_missed(trials, studies=context.studies, full=context.trials)


def _from_start(settled: bool) -> Until:
    return Until(0.0 if settled else math.inf, Outcome.SETTLED)

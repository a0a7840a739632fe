"""When a trial may stop before its target and its budget: exact policies, and two that foresee misses.

A policy looks at what is known when a trial starts and makes a rule for it, a small value that travels with the
trial; the rule is asked at each evaluation. The exact policies end a trial only once nothing that it could still do
changes a score by time. `python -m harness replay` measures what each saves and costs.

Exact means exact for scores by time, under the plan as it was: intervals, spreads and boards by steps or examples
may differ, and a plan that is given more studies later may lack what was stopped. Imports neither torch nor ray.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scoring.records import Evaluation, Outcome, Record
from scoring.scores import CUT
from scoring.times import crossing, median, study_result


@dataclass(frozen=True, slots=True)
class Finished:
    """What policies know of a trial that has finished: a hundred bytes, without its curve.

    `time_s` is that to the target, inf for a miss. `curve` is None where no policy will ask for it, and for a trial
    that broke or was not evaluated.
    """

    seed: int
    study: int
    trial: int
    time_s: float
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial's best value so far at each evaluation up to its crossing, turned so that higher is better.

    `end_s` is the time of the crossing, None for a miss.
    """

    times: np.ndarray
    best: np.ndarray
    end_s: float | None


def finished(record: Record, *, curve: bool = True) -> Finished:
    """What policies know of a record, with its curve or without."""
    shown = _curve(record) if curve and record.outcome is not Outcome.ERROR and record.evaluations else None
    time_s = study_result((record,), "time")[0]
    return Finished(record.seed, record.study, record.trial, time_s, shown)


Cells = Mapping[tuple[str, str], Sequence[Finished]]
"""The finished trials of one board, so of one suite, ruleset and hardware, by (submission, workload)."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A trial that is about to start, and the plan that it is part of: `studies` of `trials` in every cell.

    `has_variants`: whether variants of its workload are planned, so that its result decides if theirs count.
    """

    submission: str
    workload: str
    seed: int
    study: int
    studies: int
    trials: int
    higher_is_better: bool
    budget_s: float
    variant_of: str | None = None
    has_variants: bool = False


class StopRule(Protocol):
    """What one trial is told. Immutable and picklable."""

    @property
    def until_s(self) -> float:
        """The submission time from which the trial is hopeless whatever its curve; 0: it need not start."""

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        """Why to stop at this submission time, the evaluations so far being those; None to go on."""


class Policy(Protocol):
    """Makes the rule of a trial from what is known when it starts. Immutable and picklable."""

    def rule(self, start: Start, cells: Cells) -> StopRule:
        """The rule of the trial. `cells` holds all trials that have finished, those of its own study among them."""


# ---- rules


@dataclass(frozen=True)
class Until:
    """Stops at a submission time, whatever the curve."""

    until_s: float = math.inf
    outcome: Outcome = Outcome.OUTRUN

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        return self.outcome if time_s >= self.until_s else None


NEVER = Until()
"""Leaves a trial its whole budget."""


@dataclass(frozen=True)
class FirstOf:
    """Stops when the first of several rules does."""

    rules: tuple[StopRule, ...] = ()

    @property
    def until_s(self) -> float:
        return min((rule.until_s for rule in self.rules), default=math.inf)

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        return next((why for rule in self.rules if (why := rule.stop_reason(time_s, evaluations))), None)


@dataclass(frozen=True)
class Below:
    """Stops once the best value so far is below a bar that depends on the time; never before `from_s`.

    The bar is a step function: `values[i]` from `times[i]` on, nothing before. `sign` is -1 where lower is better.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]
    sign: int
    from_s: float = 0.0
    until_s: float = math.inf

    def stop_reason(self, time_s: float, evaluations: Sequence[Evaluation]) -> Outcome | None:
        place = bisect_right(self.times, time_s) - 1
        if time_s < self.from_s or place < 0:
            return None
        best = max((self.sign * e.value for e in evaluations if e.value is not None), default=-math.inf)
        return Outcome.UNPROMISING if best < self.values[place] else None


# ---- policies


@dataclass(frozen=True)
class AllOf:
    """Several policies at once."""

    policies: tuple[Policy, ...] = ()

    def rule(self, start: Start, cells: Cells) -> StopRule:
        return FirstOf(tuple(policy.rule(start, cells) for policy in self.policies))


@dataclass(frozen=True)
class OwnStudy:
    """Exact: a study's result is its fastest trial, so a trial stops at the best time of its study so far."""

    def rule(self, start: Start, cells: Cells) -> StopRule:
        own, _ = _own_cell(start, cells)
        return Until(_fastest(own), Outcome.OUTRUN)


@dataclass(frozen=True)
class Missed:
    """Exact: a trial need not start where so many studies missed that the median is a miss whatever it does.

    `Median` (b) alone: where studies hit, none is stopped, and intervals are those of whole trials.
    """

    def rule(self, start: Start, cells: Cells) -> StopRule:
        _, others = _own_cell(start, cells)
        return Until(0.0 if _surely_missed(others, start) else math.inf, Outcome.SETTLED)


@dataclass(frozen=True)
class Median:
    """Exact: a trial stops once its study can no longer change the median over studies.

    Of n studies the median is the mean of the middle two in order, which for odd n are one, and infinite if either
    is; h = n // 2 + 1 is the upper one's place. The study's result t shifts the order statistic j of all n only
    between the statistics j - 1 and j of the others. So t changes nothing
    (a) from the h-th of the others on: their results now, later ones counted as infinite, bound it from above;
    (b) at all, if statistic h - 1 of the others is infinite: n - h + 1 of them are known to be misses.
    """

    def rule(self, start: Start, cells: Cells) -> StopRule:
        _, others = _own_cell(start, cells)
        if _surely_missed(others, start):
            return Until(0.0, Outcome.SETTLED)
        results = sorted(_fastest(trials) for trials in _studies(others))
        upper = start.studies // 2
        return Until(results[upper] if upper < len(results) else math.inf, Outcome.SETTLED)


@dataclass(frozen=True)
class BaseMissed:
    """Exact under the held-out rules: a variant counts only where its base workload was reached.

    Saves most where variants run after their base workloads.
    """

    def rule(self, start: Start, cells: Cells) -> StopRule:
        base = cells.get((start.submission, start.variant_of), ()) if start.variant_of else ()
        return Until(0.0 if _surely_missed(base, start) else math.inf, Outcome.SETTLED)


@dataclass(frozen=True)
class Cut:
    """Exact: a submission's time (its median over studies) above 4 x the mark earns nothing, as a miss does.

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

    def rule(self, start: Start, cells: Cells) -> StopRule:
        if start.submission == self.reference or start.has_variants:
            return NEVER
        # Of a reference its own cell alone is looked at: there may be very many others.
        marking = (self.reference,) if self.reference is not None else [s for s, w in cells if w == start.workload]
        marks = [
            _median_at_most(cells.get((submission, start.workload), ()), start)
            for submission in marking
            if not start.variant_of or _reached(cells.get((submission, start.variant_of), ()), start)
        ]
        factor = CUT if start.studies % 2 else 2 * CUT
        return Until(math.nextafter(factor * min(marks, default=math.inf), math.inf), Outcome.CUT)


@dataclass(frozen=True)
class GiveUp:
    """Foresees from the submission's own results: after some studies that all missed, the others would too."""

    misses: int = 2

    def rule(self, start: Start, cells: Cells) -> StopRule:
        done = _studies(_own_cell(start, cells)[1])
        lost = [trials for trials in done if math.isinf(_fastest(trials))]
        none = len(lost) == len(done) and sum(len(trials) >= start.trials for trials in lost) >= self.misses
        return Until(0.0 if none else math.inf, Outcome.UNPROMISING)


@dataclass(frozen=True)
class Forecast:
    """Foresees from learning curves: a trial is hopeless if each curve that reached the target says it comes late.

    A trial at time t whose best value is what another curve had at time u, and which reached the target at r, is
    forecast to reach it at t r / u: the same curve, stretched. It is stopped once that is later than `slack` times
    the time `within` leaves it, at most its budget, for all such curves: those of other submissions on the workload
    and of its own earlier trials. Where no trial has reached the target, the best of those that missed is the only
    curve, with the budget for r. Nothing is judged in the first `grace` of the budget, where warm-up and the lag of
    averaged weights tell little. `slack` >= 1; `own` False leaves the submission's own curves out.

    It assumes that a curve which is behind stays behind. Schedules that gain late break that, and so does a target
    that is only just reached at the end of the budget, which is a toss of a coin from one trial to the next. What
    it saved and cost on AlgoPerf's published logs is in docs/stopping.md. Its form and the grace were found with
    these logs in view: with a grace of 0.05 schedule_free_adamw as newcomer would lose criteo1tb, as it does with
    the slack of 1 that the other five would pick.
    """

    within: Policy
    slack: float = 2.0
    grace: float = 0.1
    own: bool = True

    def rule(self, start: Start, cells: Cells) -> StopRule:
        sure = self.within.rule(start, cells)
        sign = 1 if start.higher_is_better else -1
        curves = [
            trial.curve
            for (submission, workload), trials in cells.items()
            if workload == start.workload and (self.own or submission != start.submission)
            for trial in trials
            if trial.curve is not None
        ]
        shown = [curve for curve in curves if curve.end_s is not None]
        if not shown:
            shown = sorted(curves, key=lambda curve: curve.best[-1])[-1:]
        latest = self.slack * min(sure.until_s, start.budget_s)
        if not shown or latest <= 0:
            return sure
        ends = [start.budget_s if curve.end_s is None else curve.end_s for curve in shown]
        stretched = [(c.times * (latest / (end or 1.0)), c.best) for c, end in zip(shown, ends, strict=True)]
        times = np.unique(np.concatenate([at for at, _ in stretched]))
        times = times[times >= max(at[0] for at, _ in stretched)]  # before, some curve has no value yet
        bar = np.min([best[np.searchsorted(at, times, side="right") - 1] for at, best in stretched], axis=0)
        below = Below(tuple(times.tolist()), tuple(bar.tolist()), sign, self.grace * start.budget_s)
        return FirstOf((sure, below))


def exact(reference: str | None = None, *, held_out: bool = False) -> AllOf:
    """All exact policies; `reference` as in `Cut`. `held_out`: scores are over base workloads, and variants only
    decide whether those count; elsewhere a variant is a workload like others."""
    sure = (OwnStudy(), Median(), Cut(reference))
    return AllOf((*sure, BaseMissed()) if held_out else sure)


def forecast(sure: Policy, slack: float = 2.0) -> AllOf:
    """The policies that foresee misses, around those that are sure; `slack` as in `Forecast`."""
    return AllOf((GiveUp(), Forecast(sure, slack)))


def _own_cell(start: Start, cells: Cells) -> tuple[list[Finished], list[Finished]]:
    """The finished trials of the same submission and workload: of the same study, and of the other studies."""
    cell = cells.get((start.submission, start.workload), ())
    own = [(t.seed, t.study) == (start.seed, start.study) for t in cell]
    return (
        [t for t, same in zip(cell, own, strict=True) if same],
        [t for t, same in zip(cell, own, strict=True) if not same],
    )


def _studies(trials: Sequence[Finished]) -> list[list[Finished]]:
    found: dict[tuple[int, int], list[Finished]] = {}
    for trial in sorted(trials, key=lambda t: (t.seed, t.study)):
        found.setdefault((trial.seed, trial.study), []).append(trial)
    return list(found.values())


def _fastest(trials: Sequence[Finished]) -> float:
    """A study's result."""
    return min((trial.time_s for trial in trials), default=math.inf)


def _surely_missed(trials: Sequence[Finished], start: Start) -> bool:
    """Whether enough whole studies among these missed for the median to be infinite whatever the others do."""
    lost = sum(len(s) >= start.trials and math.isinf(_fastest(s)) for s in _studies(trials))
    return lost >= start.studies - start.studies // 2


def _median_at_most(trials: Sequence[Finished], start: Start) -> float:
    """What the median over all planned studies cannot exceed: that with trials yet to come as misses."""
    results = [_fastest(s) for s in _studies(trials)]
    return float(median(np.array(results + [math.inf] * (start.studies - len(results)))))


def _reached(trials: Sequence[Finished], start: Start) -> bool:
    return math.isfinite(_median_at_most(trials, start))


def _curve(record: Record) -> Curve:
    at, sign = crossing(record), 1 if record.higher_is_better else -1
    end_s = at.time_s if at else None
    shown = [e for e in record.evaluations if end_s is None or e.time_s <= end_s]
    values = [-math.inf if e.value is None else sign * e.value for e in shown]
    return Curve(np.array([e.time_s for e in shown]), np.maximum.accumulate(values), end_s)

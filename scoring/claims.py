"""What became of the claims: each algorithm beside the one that its paper compares with, as a page of Markdown.

The speed-up on a workload is time(baseline) / time(algorithm), medians over studies, cut to [1/4, 4] as scores
are: a miss of the algorithm is a quarter, one of the baseline four. Where both miss, or one is not made for the
workload, there is nothing to tell. Over all workloads it is the geometric mean of those. Intervals are 95 % of a
bootstrap over the studies of both, as on the board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from scoring import escape, times
from scoring.board_warnings import about_stopped
from scoring.bootstrap import draw_medians, interval
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.scores import CUT, Array
from scoring.selection import Selection, select

LEVEL = 0.8
"""A claim to be level with the baseline holds where this speed-up or more is sure."""

SETS = {"calibrated": "", "literature": "@literature"}
"""The sets of defaults, and what is behind a submission's name on the board for each."""

_DRAWS = 2000


class Expects(StrEnum):
    """What a claim lets one expect of times to target."""

    FASTER = "faster"
    LEVEL = "level"
    NOTHING = "nothing"


class Verdict(StrEnum):
    HELD_UP = "held up"
    DID_NOT = "did not hold up"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper claims of the submission `name` against another one. `state_bytes` a parameter, if measured."""

    name: str
    about: str
    paper: str
    variant: str
    claim: str
    against: str
    expects: Expects
    state_bytes: float | None


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """A speed-up with its 95 % interval, each in [1/4, 4]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A claim under one set of defaults: by workload, over all, and over all with steps in place of time; None
    where there is nothing to tell. `studies`: the fewest that a cell has."""

    workloads: Mapping[str, Speedup | None]
    overall: Speedup | None
    in_steps: Speedup | None
    studies: int

    def verdict(self, expects: Expects) -> Verdict | None:
        """Whether the interval lies on one side of what the claim lets expect; None where nothing was measured."""
        if self.overall is None or expects is Expects.NOTHING:
            return None
        bound = 1.0 if expects is Expects.FASTER else LEVEL
        if self.overall.low > bound:
            return Verdict.HELD_UP
        return Verdict.DID_NOT if self.overall.high < bound else Verdict.CANNOT_TELL


def compare(chosen: Selection, name: str, against: str) -> Comparison | None:
    """The speed-ups of one submission over another; None where either has no trials."""
    if name not in chosen.submissions or against not in chosen.submissions:
        return None
    results = times.collect(chosen.trials, (name, against), chosen.workloads, "time")
    told = [not any(_silent(chosen, s, w) for s in (name, against)) for w in chosen.workloads]

    def gains(studies: Array) -> tuple[Array, Array]:
        drawn = np.concatenate(list(draw_medians(studies, (name, against), chosen.workloads, seed=0, draws=_DRAWS)))
        values, samples = (np.where(told, _gains(m), np.nan) for m in (times.median(studies), drawn))
        return values, samples

    values, samples = gains(results.time_s)
    return Comparison(
        workloads={w: _speedup(values[i], samples[:, i]) for i, w in enumerate(chosen.workloads)},
        overall=_overall(values, samples),
        in_steps=_overall(*gains(results.steps)),
        studies=int((~np.isnan(results.time_s)).sum(axis=-1)[:, told].min(initial=results.time_s.shape[-1])),
    )


def _gains(medians: Array) -> Array:
    """Logarithms of the speed-ups [..., W] from medians [..., 2, W], NaN where both missed."""
    own, other = medians[..., 0, :], medians[..., 1, :]
    both = np.isinf(own) & np.isinf(other)
    ratio = np.where(np.isinf(own), 1 / CUT, np.where(np.isinf(other), CUT, 1.0))
    finite = np.isfinite(own) & np.isfinite(other)
    ratio = np.divide(other, own, out=ratio, where=finite)
    return np.where(both, np.nan, np.log(np.clip(ratio, 1 / CUT, CUT)))


def _overall(values: Array, samples: Array) -> Speedup | None:
    """The geometric mean over workloads, from logarithms [W] and those of the draws [draws, W]."""
    if not np.isfinite(values).any():
        return None
    told = np.isfinite(samples)
    kept = told.any(axis=-1)
    means = np.where(told, samples, 0.0)[kept].sum(axis=-1) / told[kept].sum(axis=-1)
    return _speedup(np.nanmean(values), means)


def _speedup(value: float, samples: Array) -> Speedup | None:
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return None
    low, high = np.exp(interval(samples[:, None]))
    return Speedup(value=float(np.exp(value)), low=float(low[0]), high=float(high[0]))


def as_markdown(
    records: Sequence[Record], claims: Sequence[Claim], *, suite: str, ruleset: str = "self", command: str
) -> str:
    """The page: a table of verdicts, then each claim with its numbers; claims without trials are left out.

    Raises RecordsError without any trials.
    """
    chosen = select(records, BoardQuery(suite=suite, ruleset=ruleset))
    found = [
        (claim, {name: compare(chosen, claim.name + end, claim.against + end) for name, end in SETS.items()})
        for claim in claims
        if any(claim.name + end in chosen.submissions for end in SETS.values())
    ]
    lines = [_head(chosen, suite, command), *(f"{line}.\n" for line in about_stopped(chosen, "time"))]
    lines += _verdicts(found)
    for claim, comparisons in found:
        lines += _section(chosen, claim, comparisons)
    return "\n".join(lines).rstrip() + "\n"


_Found = tuple[Claim, Mapping[str, Comparison | None]]


_HEAD = """# What became of the claims

Each algorithm beside the one that its paper compares with, by submission time to the targets of the suite
`{suite}` ({size}), on
{hardware}.
These are small workloads on a processor: a claim about accuracy, memory or large models is judged here only by what
it lets one expect of such times.

A speed-up is time(baseline) / time(algorithm), in medians over studies, cut to 0.25 and 4: a miss of the algorithm
alone counts 0.25, one of the baseline alone 4, and where both miss, or one is not made for the workload (n/a),
nothing is told. *Over all* is the geometric mean, *in steps* the same with steps in place of time. Brackets hold
95 % intervals of a bootstrap over the studies of both, which with three studies is rough and rather too narrow.

A claim to be faster held up where the whole interval is above 1, a claim to be level where it is above {level}. It
did not where the whole interval is below; else so few studies cannot tell.

*Calibrated* compares the points that `make calibrate` found for both, *literature* what their papers or packages
recommend. `{command}` makes this page from the records.
"""


def _head(chosen: Selection, suite: str, command: str) -> str:
    studies = min(len(times.studies(trials)) for trials in chosen.trials.values())
    return _HEAD.format(
        suite=suite,
        size=f"{len(chosen.workloads)} workloads, {studies} studies each, {chosen.count} trials in all",
        hardware=escape.markdown(chosen.hardware),
        level=LEVEL,
        command=command,
    )


def _summary(found: Sequence[_Found], name: str) -> str:
    """How many claims held up under one set of defaults, in a sentence."""
    judged = [
        comparisons[name].verdict(claim.expects)
        for claim, comparisons in found
        if comparisons[name] is not None and claim.expects is not Expects.NOTHING
    ]
    counts = Counter(judged)
    held, not_held = counts[Verdict.HELD_UP], counts[Verdict.DID_NOT]
    rest = len(judged) - held - not_held
    return (
        f"At the {name} defaults {held} of {len(judged)} claims held up, {not_held} did not, {rest} cannot be told."
    )


def _verdicts(found: Sequence[_Found]) -> Iterator[str]:
    yield from (f"* {_summary(found, name)}" for name in SETS)
    yield ""
    yield "| algorithm | against | claim | calibrated | literature | bytes a parameter |"
    yield "| --- | --- | --- | --- | --- | --: |"
    for claim, comparisons in found:
        fields = [_verdict(claim, comparisons[name]) for name in SETS]
        size = "" if claim.state_bytes is None else f"{claim.state_bytes:.1f}"
        link = f"[{escape.markdown(claim.name)}](#{claim.name})"
        yield f"| {link} | {escape.markdown(claim.against)} | {claim.expects} | {' | '.join(fields)} | {size} |"
    yield ""


def _section(chosen: Selection, claim: Claim, comparisons: Mapping[str, Comparison | None]) -> Iterator[str]:
    yield f"## {claim.name}\n"
    for line in (claim.about, claim.paper, f"Variant: {claim.variant}"):
        yield f"{escape.markdown(line)}\n"
    yield f"**Claim against {escape.markdown(claim.against)}:** {escape.markdown(claim.claim)}\n"
    reasons = [reason for w in chosen.workloads if (reason := chosen.reason(claim.name, w))]
    for reason in dict.fromkeys(reasons):
        yield f"n/a: {escape.markdown(reason)}\n"
    yield f"| defaults | {' | '.join(map(escape.markdown, chosen.workloads))} | over all | in steps |"
    yield f"| --- |{' --: |' * (len(chosen.workloads) + 2)}"
    for name, end in SETS.items():
        comparison = comparisons[name]
        if comparison is None:
            cells = ["not run"] * (len(chosen.workloads) + 2)
        else:
            cell = partial(_cell, chosen, claim, end)
            cells = [cell(w, s) for w, s in comparison.workloads.items()]
            cells += [_text(comparison.overall), _text(comparison.in_steps)]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    for name in SETS:
        if comparisons[name] is not None:
            yield f"* {name}: {_verdict(claim, comparisons[name])}"
    yield ""


def _cell(chosen: Selection, claim: Claim, end: str, workload: str, speedup: Speedup | None) -> str:
    own = _silent(chosen, claim.name + end, workload)
    other = _silent(chosen, claim.against + end, workload)
    if own or other:
        return own or f"baseline {other}"
    return "both miss" if speedup is None else _text(speedup)


def _silent(chosen: Selection, submission: str, workload: str) -> str | None:
    """What the page says where a submission has no result on a workload; None where it has one."""
    if (submission, workload) not in chosen.trials:
        return "not run"
    return "n/a" if chosen.reason(submission, workload) else None


def _text(speedup: Speedup | None) -> str:
    if speedup is None:
        return "nothing told"
    return f"{speedup.value:.2f}x \\[{speedup.low:.2f}, {speedup.high:.2f}\\]"


def _verdict(claim: Claim, comparison: Comparison | None) -> str:
    if comparison is None:
        return "not run"
    if comparison.overall is None:
        return "cannot tell: both miss every target"
    verdict = comparison.verdict(claim.expects)
    if verdict is None:
        return f"no claim about speed: {_text(comparison.overall)}"
    ending = f" from {comparison.studies} studies" if verdict is Verdict.CANNOT_TELL else ""
    return f"{verdict}{ending}: {_text(comparison.overall)}"

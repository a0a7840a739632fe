"""The page of claims in Markdown: a table of verdicts, then each claim with its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from scoring import escape, times
from scoring.board_warnings import about_stopped
from scoring.claims.comparison import LEVEL, SETS, Claim, Comparison, Expects, Speedup, Verdict, compare, no_result
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.selection import Selection, select

_Compared = tuple[Claim, Mapping[str, Comparison | None]]
"""A claim and what was measured of it, by set of defaults; None where one of the two was not run."""


def as_markdown(
    records: Sequence[Record], claims: Sequence[Claim], *, suite: str, ruleset: str = "self", command: str
) -> str:
    """The page: a table of verdicts, then each claim with its numbers; claims without trials are left out.

    Raises RecordsError without any trials.
    """
    chosen = select(records, BoardQuery(suite=suite, ruleset=ruleset))
    compared = [
        (claim, {name: compare(chosen, claim.name + end, claim.against + end) for name, end in SETS.items()})
        for claim in claims
        if any(claim.name + end in chosen.submissions for end in SETS.values())
    ]
    lines = [_head(chosen, suite, command), *(f"{line}.\n" for line in about_stopped(chosen, "time"))]
    lines += _verdicts(compared)
    for claim, comparisons in compared:
        lines += _section(chosen, claim, comparisons)
    return "\n".join(lines).rstrip() + "\n"


_HEAD = """# What became of the claims

Each algorithm against the one that its paper compares with, by submission time to the targets of the suite
`{suite}` ({size}), on
{hardware}.
These are small workloads on a processor: a claim about accuracy, memory or large models is judged here only by what
it lets one expect of such times.

A speed-up is time(baseline) / time(algorithm), in medians over studies, cut to 0.25 and 4: a miss of the algorithm
alone counts 0.25, one of the baseline alone 4, and where both miss, or one is not made for the workload (n/a),
there is none. *Over all* is the geometric mean, *in steps* the same with steps in place of time. Brackets hold 95 %
intervals of a bootstrap over the studies of both, which with three studies is rough and rather too narrow.

A claim to be faster held up where the whole interval is above 1, a claim to be level where it is above {level}. It
did not where the whole interval is below; else so few studies cannot tell.

*Tuned* compares the points that `make tune` chose for both, *literature* what their papers or packages
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


def _summary(compared: Sequence[_Compared], name: str) -> str:
    """How many claims held up under one set of defaults, in a sentence."""
    judged = [
        comparison.verdict(claim.expects)
        for claim, comparisons in compared
        if (comparison := comparisons[name]) is not None and claim.expects is not Expects.NOTHING
    ]
    counts = Counter(judged)
    held, not_held = counts[Verdict.HELD_UP], counts[Verdict.DID_NOT]
    rest = len(judged) - held - not_held
    return (
        f"At the {name} defaults {held} of {len(judged)} claims held up, {not_held} did not, {rest} cannot be told."
    )


def _verdicts(compared: Sequence[_Compared]) -> Iterator[str]:
    yield from (f"* {_summary(compared, name)}" for name in SETS)
    yield ""
    yield "| algorithm | against | claim | tuned | literature | bytes a parameter |"
    yield "| --- | --- | --- | --- | --- | --: |"
    for claim, comparisons in compared:
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
    own = no_result(chosen, claim.name + end, workload)
    other = no_result(chosen, claim.against + end, workload)
    if own or other:
        return own or f"baseline {other}"
    return "both miss" if speedup is None else _text(speedup)


def _text(speedup: Speedup | None) -> str:
    if speedup is None:
        return "none"
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

"""The page of claims in Markdown: a table of verdicts, then each claim with its numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from scoring import escape, times
from scoring.board_warnings import about_ladder, about_stopped
from scoring.claims.comparison import LEVEL, SETS, Claim, Expects, Verdict
from scoring.ladder import Ladder, climb
from scoring.paired import more_studies
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.selection import Selection, select
from scoring.versus import Speedup, Versus, between, no_result

_Compared = tuple[Claim, Mapping[str, Versus | None]]
"""A claim and what was measured of it, by set of defaults; None where the two have no workload in common."""


def as_markdown(
    records: Sequence[Record], claims: Sequence[Claim], *, suite: str, ruleset: str = "self", command: str
) -> str:
    """The page: a table of verdicts, then each claim with its numbers; claims without trials are left out.

    Raises RecordsError without any trials.
    """
    query = BoardQuery(suite=suite, ruleset=ruleset)
    chosen = select(records, query)
    ladders = _Ladders(chosen, query.reference)
    compared = [
        (claim, {name: ladders.measured(claim, end) for name, end in SETS.items()})
        for claim in claims
        if any(claim.name + end in chosen.submissions for end in SETS.values())
    ]
    lines = [
        _head(chosen, query.reference, suite, command),
        *(f"{line}.\n" for line in (*about_stopped(chosen, "time"), *ladders.warnings())),
    ]
    lines += _verdicts(compared)
    for claim, comparisons in compared:
        lines += _section(chosen, claim, comparisons)
    return "\n".join(lines).rstrip() + "\n"


@dataclass(frozen=True)
class _Ladders:
    """The ladders of the records: one relative to the reference, or without trials of it one for each baseline."""

    chosen: Selection
    reference: str
    made: dict[str, Ladder] = field(default_factory=dict)

    def measured(self, claim: Claim, end: str) -> Versus | None:
        """A claim under one set of defaults; None where one of the two was not run."""
        name, against = claim.name + end, claim.against + end
        if not {name, against} <= set(self.chosen.submissions):
            return None
        return between(self.chosen, self._of(against), name, against, "time")

    def warnings(self) -> list[str]:
        """What a reader should know of them."""
        climbed = [self.made[name] for name in self.made if name == self.reference]
        return [line for each in climbed for line in about_ladder(self.chosen, each)]

    def _of(self, against: str) -> Ladder:
        reference = self.reference if self.reference in self.chosen.submissions else against
        if reference not in self.made:
            self.made[reference] = climb(self.chosen, reference)
        return self.made[reference]


_HEAD = """# What became of the claims

Each algorithm against the one that its paper compares with, by submission time on the suite `{suite}` ({size}), on
{hardware}.
These are small workloads on a processor: a claim about accuracy, memory or large models is judged here only by what
it lets one expect of such times.

A speed-up is how much sooner the algorithm comes to the same values of the validation metric than its baseline,
study by study: the ladder score of the two, over the levels that `{reference}` has on its way to the targets. *Over
all* is the geometric mean over the workloads that both are made for, *in steps* the same with steps in place of
time. Brackets hold 95 % intervals by Student's t from the paired differences of the studies.

A claim to be faster held up where the whole interval is above 1, a claim to be level where it is above {level}. It
did not where the whole interval is below; else these studies cannot tell, and the page says how many more would
probably do (with 80 %, if the estimates are right).

*Tuned* compares the points that `make tune` chose for both, *literature* what their papers or packages
recommend. `{command}` makes this page from the records.
"""


def _head(chosen: Selection, reference: str, suite: str, command: str) -> str:
    studies = min(len(times.studies(trials)) for trials in chosen.trials.values())
    return _HEAD.format(
        suite=suite,
        size=f"{len(chosen.workloads)} workloads, {studies} studies each, {chosen.count} trials in all",
        hardware=escape.markdown(chosen.hardware),
        level=LEVEL,
        command=command,
        reference=reference,
    )


def _summary(compared: Sequence[_Compared], name: str) -> str:
    """How many claims held up under one set of defaults, in a sentence."""
    judged = [
        claim.verdict(comparison.overall)
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


def _section(chosen: Selection, claim: Claim, comparisons: Mapping[str, Versus | None]) -> Iterator[str]:
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
    return "no ladder" if speedup is None else _text(speedup)


def _text(speedup: Speedup) -> str:
    if speedup.low is None or speedup.high is None:
        return f"{speedup.speedup:.2f}x"
    return f"{speedup.speedup:.2f}x \\[{speedup.low:.2f}, {speedup.high:.2f}\\]"


def _verdict(claim: Claim, measured: Versus | None) -> str:
    if measured is None:
        return "not run"
    verdict = claim.verdict(measured.overall)
    if verdict is None:
        return f"no claim about speed: {_text(measured.overall)}"
    needed = f" from {measured.overall.studies} studies, {_more(claim, measured)}"
    return f"{verdict}{needed if verdict is Verdict.CANNOT_TELL else ''}: {_text(measured.overall)}"


def _more(claim: Claim, measured: Versus) -> str:
    """How many studies more would tell whether the claim holds."""
    assert claim.bound is not None
    distance = abs(math.log(measured.overall.speedup / claim.bound))
    more = more_studies(measured.differences, distance)
    return "and not from 1,000 either" if more is None else f"{more} more would"

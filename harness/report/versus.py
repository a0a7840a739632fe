"""A comparison of two submissions for a terminal."""

from __future__ import annotations

from scoring import escape
from scoring.tables import aligned
from scoring.versus import Speedup, Verdict, Versus


def as_text(found: Versus) -> str:
    """The verdict in a sentence, and a table with a row a workload."""
    a, b = escape.plain(found.a), escape.plain(found.b)
    rows = [[escape.plain(name), *_fields(own)] for name, own in found.workloads.items()]
    rows += [["over all", *_fields(found.overall)], ["over all, in steps", *_fields(found.in_steps)]]
    heads = ["workload", "speed-up", "95 % interval", "studies", "verdict", "more studies"]
    table = aligned(heads, rows, words="workload")
    return (
        f"{a} against {b} by {found.by}, at the levels of {escape.plain(found.reference)}: "
        f"{_sentence(found, a, b)}\n\n"
        f"{table}\n\n"
        "speed-up: how much sooner the first comes to the same values, study by study\n"
        f"equivalent: within {found.margin:.0%}; more studies: so many decide with a probability of 80 % if the "
        "estimates are right\n"
    )


def _sentence(found: Versus, a: str, b: str) -> str:
    own = found.overall
    if own.verdict is Verdict.BETTER:
        better, worse, times = (a, b, own.speedup) if own.speedup > 1 else (b, a, 1 / own.speedup)
        return f"{better} is faster than {worse}, {times:.2f} times"
    if own.verdict is Verdict.EQUIVALENT:
        return f"equivalent within {found.margin:.0%}"
    if own.low is None:
        return "undecided, as one study tells nothing of another: run more, with --studies 3"
    more = own.more_studies
    return f"undecided; {'1,000 more studies would not decide it' if more is None else f'{more} more would'}"


def _fields(own: Speedup | None) -> list[str]:
    if own is None:
        return ["-", "", "", "", ""]
    interval = "-" if own.low is None or own.high is None else f"[{own.low:.2f}, {own.high:.2f}]"
    more = (
        "" if own.verdict is not Verdict.UNDECIDED else "-" if own.more_studies is None else str(own.more_studies)
    )
    return [f"{own.speedup:.2f}x", interval, str(own.studies), own.verdict.value, more]

"""The noise of studies for a terminal."""

from __future__ import annotations

from scoring import escape
from scoring.noise import STUDIES, Detectable, NoiseReport
from scoring.tables import aligned


def as_text(report: NoiseReport) -> str:
    """A table with a row a workload, and one of scores over all of them."""
    rows = [[escape.plain(name), *_fields(own)] for name, own in report.workloads.items()]
    rows.append(["over all", *_fields(report.overall)])
    heads = ["workload", "noise of a study", *(f"{studies} studies" for studies in STUDIES)]
    table = aligned(heads, rows, words="workload")
    return (
        f"suite {escape.plain(report.suite)} by {report.by}, on {escape.plain(report.hardware)}\n\n{table}\n\n"
        "noise of a study: standard deviation of a speed-up over the reference, study by study\n"
        "k studies: the smallest speed-up that they tell from 1 with a probability of 80 %\n"
    )


def _fields(own: Detectable) -> list[str]:
    noise = "-" if own.noise is None else f"{own.noise:.1%}"
    return [noise, *("-" if least is None else f"{least:.2f}x" for least in own.smallest.values())]

"""The yardstick for scores, for a terminal and for programs."""

from __future__ import annotations

from typing import Any

from scoring.reliability import ReliabilityReport
from scoring.tables import aligned


def as_json(report: ReliabilityReport) -> dict[str, Any]:
    """As plain values."""
    return {
        "suite": report.suite,
        "by": report.by,
        "reference": report.reference,
        "submissions": report.submissions,
        "workloads": report.workloads,
        "studies": report.studies,
        "scores": {name: vars(own) for name, own in report.scores.items()},
        "studies_like": {
            name: {other: own.studies_like(than) for other, than in report.scores.items()}
            for name, own in report.scores.items()
        },
        "default": report.default,
    }


def as_text(report: ReliabilityReport) -> str:
    """A table with a row a score, the default first."""
    best = report.scores.get(report.default)
    rows = []
    for name, own in report.scores.items():
        like = own.studies_like(best) if best else None
        rows.append([name, _number(own.signal_to_noise), _number(own.tau), _number(own.tau_min), _number(like)])
    heads = ["score", "signal to noise", "tau", "least tau", f"studies like one of {report.default}"]
    table = aligned(heads, rows, words="score")
    return (
        f"suite {report.suite} by {report.by}, reference {report.reference}: {report.studies} boards of one study, "
        f"{report.submissions} submissions on {report.workloads} workloads\n\n{table}\n\n"
        "signal to noise: spread between submissions over that of one submission between studies\n"
        "tau: Kendall's rank correlation between the boards of two studies, the mean and the least\n"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

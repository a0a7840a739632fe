"""Speed-ups over an axis for a terminal."""

from __future__ import annotations

from scoring import escape
from scoring.axis import AxisCurves, Point
from scoring.tables import aligned


def as_text(curves: AxisCurves) -> str:
    """A row a submission, a column a factor, and which pairs change their order."""
    rows = [
        [escape.plain(name), *(_text(points.get(factor)) for factor in curves.factors)]
        for name, points in curves.curves.items()
    ]
    table = aligned(["submission", *(f"{curves.axis} {factor:g}" for factor in curves.factors)], rows)
    flips = [escape.plain(line) for line in curves.flips] or ["no pair changes its order"]
    head = f"ladder speed-up over {escape.plain(curves.reference)} by {curves.axis}, with 95 % intervals"
    return "\n".join([head, "", table, "", *flips]) + "\n"


def _text(point: Point | None) -> str:
    if point is None:
        return "not run"
    if point.low is None or point.high is None:
        return f"{point.speedup:.2f}x"
    return f"{point.speedup:.2f}x [{point.low:.2f}, {point.high:.2f}]"

"""Speed-ups over an axis, such as the horizon: one board at each of several factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter, NullLocator

from scoring import escape
from scoring.board import Board
from scoring.charts import COLOURS, figure_of, save


@dataclass(frozen=True, kw_only=True)
class Point:
    """A speed-up over the reference at one factor, and its 95 % interval, None where one study cannot tell."""

    speedup: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class AxisCurves:
    """The speed-ups of each submission by factor. `flips`: pairs whose order changes between two factors, each with
    the factors at which either is ahead, and whether the intervals there leave no doubt."""

    axis: str
    reference: str
    factors: tuple[float, ...]
    curves: Mapping[str, Mapping[float, Point]]
    flips: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain values; factors are keys, as text."""
        return {
            "axis": self.axis,
            "reference": self.reference,
            "factors": list(self.factors),
            "curves": {
                name: {f"{factor:g}": vars(point) for factor, point in points.items()}
                for name, points in self.curves.items()
            },
            "flips": list(self.flips),
        }


def axis_curves(axis: str, boards: Mapping[float, Board]) -> AxisCurves:
    """The curves through ladder boards of the same submissions."""
    factors = tuple(sorted(boards))
    rows = {factor: {row.submission: row for row in boards[factor].rows} for factor in factors}
    names = [row.submission for row in boards[factors[0]].rows]
    curves = {
        name: {
            factor: Point(
                speedup=rows[factor][name].score,
                low=rows[factor][name].score_low,
                high=rows[factor][name].score_high,
            )
            for factor in factors
            if name in rows[factor]
        }
        for name in names
    }
    flips = [line for pair in combinations(names, 2) if (line := _flip(axis, curves, *pair))]
    return AxisCurves(
        axis=axis, reference=boards[factors[0]].reference, factors=factors, curves=curves, flips=tuple(flips)
    )


def _flip(axis: str, curves: Mapping[str, Mapping[float, Point]], a: str, b: str) -> str | None:
    """A sentence where one is ahead at some factors and the other at others."""
    common = [factor for factor in curves[a] if factor in curves[b]]
    ahead = [factor for factor in common if curves[a][factor].speedup > curves[b][factor].speedup]
    behind = [factor for factor in common if curves[a][factor].speedup < curves[b][factor].speedup]
    if not ahead or not behind:
        return None
    sure = any(_apart(curves[a][f], curves[b][f]) for f in ahead) and any(
        _apart(curves[b][f], curves[a][f]) for f in behind
    )
    first, second = (", ".join(f"{factor:g}" for factor in which) for which in (ahead, behind))
    doubt = "" if sure else ", within their intervals"
    return f"{a} is ahead of {b} at {axis} {first} and behind it at {second}{doubt}"


def _apart(above: Point, below: Point) -> bool:
    return above.low is not None and below.high is not None and above.low > below.high


def axis_png(curves: AxisCurves, path: Path) -> None:
    """Draws the speed-ups over the axis with their intervals, both on logarithmic scales."""
    figure, axes = figure_of(7.5, 4.5)
    axes.axhline(1.0, color="#999999", linewidth=0.9)
    for index, (name, points) in enumerate(curves.curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        factors = list(points)
        shift = 1.0 + 0.012 * (index - (len(curves.curves) - 1) / 2)  # so that intervals lie beside each other
        at = [factor * shift for factor in factors]
        axes.plot(at, [points[f].speedup for f in factors], "o-", color=colour, label=escape.matplotlib(name))
        for place, factor in zip(at, factors, strict=True):
            point = points[factor]
            if point.low is not None and point.high is not None:
                axes.plot([place, place], [point.low, point.high], color=colour, linewidth=2.0, alpha=0.45)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(curves.factors))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}x"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xlabel(f"{curves.axis}, as a multiple of the suite's")
    axes.set_ylabel(f"speed-up over {escape.matplotlib(curves.reference)}")
    axes.legend(frameon=False, fontsize=9)
    save(figure, path)

"""A forest plot: the speed-ups of one submission over another, by workload and over all, with their intervals."""

from __future__ import annotations

from pathlib import Path

from matplotlib.ticker import FuncFormatter, NullLocator

from scoring import escape
from scoring.charts import figure_of, save
from scoring.versus import Speedup, Versus

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c8641e", "#666666"
_TICKS = (0.1, 0.15, 0.25, 0.4, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 4.0, 6.0, 10.0)
_WIDEST = 10.0


def forest_png(found: Versus, path: Path) -> None:
    """Draws it as a PNG: the margin of equivalence as a band around 1, the mean over all workloads last."""
    rows: list[tuple[str, Speedup]] = [(name, own) for name, own in found.workloads.items() if own is not None]
    rows += [("over all", found.overall)]
    figure, axes = figure_of(7.5, 1.6 + 0.36 * len(rows))
    axes.axvspan(1 / (1 + found.margin), 1 + found.margin, color="#eeeeee", zorder=0)
    axes.axvline(1.0, color=_GREY, linewidth=0.9, zorder=1)
    ends = [0.8, 1.25]
    for height, (name, own) in enumerate(rows):
        colour = _ORANGE if name == "over all" and height == len(rows) - 1 else _BLUE
        if own.low is not None and own.high is not None:
            axes.plot([own.low, own.high], [height, height], color=colour, linewidth=2.2, alpha=0.5, zorder=2)
            ends += [own.low, own.high]
        axes.plot(own.speedup, height, "D" if colour == _ORANGE else "o", color=colour, zorder=3)
        ends.append(own.speedup)
        axes.text(
            1.02, height, f"{own.speedup:.2f}x", transform=axes.get_yaxis_transform(), va="center", color=_GREY
        )
    low, high = max(1 / _WIDEST, min(ends)) / 1.05, min(_WIDEST, max(ends)) * 1.05
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(_ticks(low, high))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}x"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [escape.matplotlib(name) for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    a, b = escape.matplotlib(found.a), escape.matplotlib(found.b)
    axes.set_xlabel(f"{a} comes to the same values so many times sooner ({found.by})")
    axes.set_title(f"{a} against {b}: {found.overall.verdict.value}", loc="left", fontsize=11)
    save(figure, path)


def _ticks(low: float, high: float) -> list[float]:
    """Few enough to be read."""
    inside = [tick for tick in _TICKS if low <= tick <= high]
    few = [tick for tick in (0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 10.0) if low <= tick <= high]
    return inside if len(inside) <= 8 else few

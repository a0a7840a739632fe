"""A forest plot: the speed-ups of one submission over another, by workload and over all, with their intervals."""

from __future__ import annotations

from pathlib import Path

from scoring import escape
from scoring.charts import COLOURS, GREY, figure_of, save, speedup_axis
from scoring.versus import Speedup, Versus


def forest_png(found: Versus, path: Path) -> None:
    """Draws it as a PNG: the margin of equivalence as a band around 1, the mean over all workloads last."""
    rows: list[tuple[str, Speedup]] = [(name, own) for name, own in found.workloads.items() if own is not None]
    rows += [("over all", found.overall)]
    figure, axes = figure_of(7.5, 1.6 + 0.36 * len(rows))
    axes.axvspan(1 / (1 + found.margin), 1 + found.margin, color="#eeeeee", zorder=0)
    axes.axvline(1.0, color=GREY, linewidth=0.9, zorder=1)
    ends: list[float] = []
    for height, (_, own) in enumerate(rows):
        colour, mark = (COLOURS[1], "D") if height == len(rows) - 1 else (COLOURS[0], "o")
        if own.low is not None and own.high is not None:
            axes.plot([own.low, own.high], [height, height], color=colour, linewidth=2.2, alpha=0.5, zorder=2)
            ends += [own.low, own.high]
        axes.plot(own.speedup, height, mark, color=colour, zorder=3)
        ends.append(own.speedup)
        axes.text(
            1.02, height, f"{own.speedup:.2f}x", transform=axes.get_yaxis_transform(), va="center", color=GREY
        )
    speedup_axis(axes, ends)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [escape.matplotlib(name) for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    a, b = escape.matplotlib(found.a), escape.matplotlib(found.b)
    axes.set_xlabel(f"{a} comes to the same values so many times sooner ({found.by})")
    axes.set_title(f"{a} against {b}: {found.overall.verdict.value}", loc="left", fontsize=11)
    save(figure, path)

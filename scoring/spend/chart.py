"""A picture of an adaptive bench as it goes on."""

from __future__ import annotations

import math
from pathlib import Path

from scoring import escape
from scoring.charts import COLOURS, GREY, figure_of, save
from scoring.spend.report import SpendReport


def spend_png(report: SpendReport, path: Path) -> None:
    """Over its device time the share of neighbours that is decided, and the largest change of any ladder score
    against all studies, as a PNG."""
    figure, left = figure_of(8.0, 4.5)
    right = left.twinx()
    right.spines[["top"]].set_visible(False)
    hours = [point.hours for point in report.points]
    decided = [100 * point.decided for point in report.points]
    change = [100 * math.expm1(point.change) for point in report.points]
    left.plot(hours, decided, color=COLOURS[0], marker="o", drawstyle="steps-post")
    right.plot(hours, change, color=COLOURS[1], marker="s", linestyle="dashed")
    left.set_ylabel("neighbours decided, %", color=COLOURS[0])
    right.set_ylabel("largest change of a score, %", color=COLOURS[1])
    left.set_ylim(0, 104)
    right.set_ylim(bottom=0)
    left.axvline(report.all_hours, color=GREY, linestyle="dotted")
    left.set_xlim(0, 1.05 * report.all_hours)
    left.set_xlabel("hours of submission time; dotted: all studies of all")
    left.grid(color="#e6e6e6", linewidth=0.8)
    title = escape.matplotlib(f"Studies where they decide, on {report.suite}")
    left.set_title(title, loc="left", fontsize=13, fontweight="bold", parse_math=False)
    save(figure, path)

"""Pictures of a board: performance profiles, and scores with their intervals; and of what stopping early saves.

Matplotlib is used through Figure, without pyplot and its global state, so charts may be drawn in any thread.
Colours are those of Okabe & Ito, which readers with any common colour blindness can tell apart; labels, line style
and marker repeat what colour says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from scoring import escape
from scoring.board import Board, Row
from scoring.scores import CUT

MOST_CURVES = 12  # more cannot be distinguished in one picture
MOST_ROWS = 40
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = (("solid", "solid"), ("dashed", "dash"), ("dotted", "dot"))  # Matplotlib's name, Plotly's
_MARKERS = ("o", "s", "^", "D")
_NO_CHANGE = 0.001  # below this the axis of score changes is linear, so that 0 can be shown
_TICKS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
GREY = "#666666"
_DPI = 150


def profile_png(board: Board, path: Path) -> None:
    """Performance profiles on [1, 4] as a PNG; on a crowded board the first twelve, the reference among them.

    Each curve is drawn a point (1/72 inch) below the one before.
    """
    shown = _shown(board, MOST_CURVES)
    figure, axes = figure_of(8.0, 5.0)
    ends = []
    for index, row in enumerate(shown):
        taus, shares = _steps(board, row.submission)
        colour, (style, _) = _look(index)
        # A point apart, so that equal curves do not hide each other.
        lift = ((len(shown) - 1) / 2 - index) / 72
        shifted = axes.transData + ScaledTranslation(0, lift, figure.dpi_scale_trans)
        axes.step(
            taus,
            shares,
            where="post",
            color=colour,
            linestyle=style,
            linewidth=1.8,
            transform=shifted,
            zorder=30 - index,
        )
        ends.append((shares[-1], colour, style, row.submission))
    axes.set_xscale("log")
    axes.set_xlim(1.0, CUT)
    axes.set_ylim(-0.04, 1.06)
    axes.set_xticks(_TICKS, [f"{tick:g}x" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel(f"{board.by} to target, as a multiple of the fastest submission's")
    axes.set_ylabel(f"share of the {len(board.workloads)} workloads solved")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    _label_ends(axes, ends)
    _title(axes, "Performance profiles", board, len(shown))
    save(figure, path)


_SPEEDUPS = (0.1, 0.15, 0.25, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 4.0, 6.0, 8.0)
_WIDEST = 8.0


def scores_png(board: Board, path: Path) -> None:
    """Scores with 95 % intervals as a PNG, best on top; on a crowded board the first forty and the reference."""
    shown = _shown(board, MOST_ROWS)
    figure, axes = figure_of(8.0, 1.5 + 0.32 * len(shown))
    heights = range(len(shown))
    for index, row in zip(heights, shown, strict=True):
        colour = COLOURS[1] if row.submission == board.reference else COLOURS[0]
        if row.score_low is not None and row.score_high is not None:
            span = [row.score_low, row.score_high]
            axes.plot(span, [index, index], color=colour, linewidth=2.2, alpha=0.45, zorder=2)
        axes.plot(row.score, index, "D" if row.submission == board.reference else "o", color=colour, zorder=3)
        axes.text(1.02, index, f"{row.score:.2f}", transform=axes.get_yaxis_transform(), va="center", color=GREY)
    for index, (above, below) in enumerate(pairwise(shown)):
        if above.tie_group != below.tie_group:
            axes.axhline(index + 0.5, color="#bbbbbb", linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    level = {"anchored": 0.5, "ladder": 1.0}.get(board.score)
    if level is not None:
        axes.axvline(level, color=COLOURS[1], linewidth=0.9, alpha=0.6, zorder=1)
    if board.score == "ladder":
        speedup_axis(
            axes, [end for row in shown for end in (row.score_low, row.score, row.score_high) if end is not None]
        )
    else:
        axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(list(heights), [f"{escape.matplotlib(_short(r.submission))}  {r.rank}" for r in shown])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    meaning = {
        "anchored": "0.5 is level with the reference, 1 is 4x faster",
        "ladder": f"speed-up over {escape.matplotlib(_short(board.reference))}",
    }.get(board.score, "1 is fastest everywhere")
    axes.set_xlabel(f"{board.score} score ({meaning})\nbar: 95 % interval; dotted rule: end of a tie group")
    _title(axes, "Scores", board, len(shown))
    save(figure, path)


def speedup_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis from left to right that holds these speed-ups, where they are not vast."""
    low, high = max(1 / _WIDEST, min(*values, 0.8)) / 1.05, min(_WIDEST, max(*values, 1.25)) * 1.05
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in _SPEEDUPS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.minorticks_off()


def profile_html(board: Board, path: Path) -> None:
    """Performance profiles of all submissions as one HTML page that works offline (some 5 MB: it holds Plotly).

    Beyond the first twelve, the reference among them, curves are drawn once their name in the legend is clicked.
    """
    figure = go.Figure()
    shown = {row.submission for row in _shown(board, MOST_CURVES)}
    for index, row in enumerate(board.rows):
        taus, shares = _steps(board, row.submission)
        colour, (_, dash) = _look(index)
        name = escape.plotly(row.submission)
        figure.add_trace(
            go.Scatter(
                x=taus,
                y=shares,
                mode="lines",
                name=f"{row.rank}. {name} ({row.score:.2f})",
                line={"shape": "hv", "color": colour, "dash": dash, "width": 2},
                visible=True if row.submission in shown else "legendonly",
                hovertemplate=f"{name}<br>%{{y:.0%}} of workloads within %{{x:.2f}}x<extra></extra>",
            )
        )
    figure.update_layout(
        template="plotly_white",
        title={"text": f"Performance profiles<br><sup>{escape.plotly('; '.join(_subtitle(board)))}</sup>"},
        xaxis={
            "title": {"text": f"{board.by} to target, as a multiple of the fastest submission's"},
            "type": "log",
            "range": [0.0, 0.6021],  # log10 of 1 and 4
            "tickvals": list(_TICKS),
            "ticktext": [f"{tick:g}x" for tick in _TICKS],
        },
        yaxis={"title": {"text": "share of workloads solved"}, "tickformat": ".0%", "range": [-0.02, 1.03]},
    )
    path.write_text(figure.to_html(include_plotlyjs=True, full_html=True, div_id="profile"), encoding="utf-8")


def savings_png(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path, *, title: str) -> None:
    """What stopping early saves against what it costs, as a PNG: a curve a policy, along its strictness.

    `curves`: (largest change of any score, times cheaper than running every trial to its end) of newcomers, the
    mildest first.
    """
    figure, axes = figure_of(8.0, 5.0)
    for index, (name, points) in enumerate(curves.items()):
        changes, cheaper = zip(*points, strict=True)
        colour, (style, _) = _look(index)
        axes.plot(
            changes,
            cheaper,
            color=colour,
            linestyle=style,
            marker=_MARKERS[index % len(_MARKERS)],
            label=escape.matplotlib(name),
        )
    axes.set_xscale("symlog", linthresh=_NO_CHANGE, linscale=0.5)
    axes.set_xlim(-_NO_CHANGE / 5, 1.0)
    axes.set_xticks([0, 0.001, 0.01, 0.1, 1], ["0", "0.001", "0.01", "0.1", "1"])
    axes.minorticks_off()
    axes.set_ylim(bottom=0.9)
    axes.set_xlabel("largest change of any score, each submission in turn as the newcomer")
    axes.set_ylabel("times cheaper than every trial to its end")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    for text in axes.legend(loc="lower right", frameon=False).get_texts():
        text.set_parse_math(False)
    axes.set_title(escape.matplotlib(title), loc="left", fontsize=13, fontweight="bold", parse_math=False)
    save(figure, path)


def _shown(board: Board, most: int) -> list[Row]:
    """The first rows, the reference instead of the last of them if it would be left out."""
    rows = list(board.rows[:most])
    rest = [row for row in board.rows[most:] if row.submission == board.reference]
    return rows[: most - 1] + rest if rest else rows


def _steps(board: Board, submission: str) -> tuple[list[float], list[float]]:
    """The exact profile as corners for a step line, from 1 to 4."""
    corners = board.profile.corners[submission]
    if not corners or corners[0][0] > 1.0:
        corners = ((1.0, 0.0), *corners)
    return [*(tau for tau, _ in corners), CUT], [*(share for _, share in corners), corners[-1][1]]


def _look(index: int) -> tuple[str, tuple[str, str]]:
    return COLOURS[index % len(COLOURS)], _STYLES[index // len(COLOURS) % len(_STYLES)]


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of this size in inches, in the style of all charts, and its axes."""
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(colors="#333333")
    return figure, axes


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str, str]]) -> None:
    """Names at the right end of their curves, best first where several end level, moved apart to stay readable."""
    gap = 0.062  # of the axis: a line of text
    order = sorted(range(len(ends)), key=lambda i: (-ends[i][0], i))
    heights = [ends[i][0] for i in order]
    for k in range(1, len(heights)):  # downwards from the top, then up again from the bottom
        heights[k] = min(heights[k], heights[k - 1] - gap)
    for k in reversed(range(len(heights))):
        heights[k] = max(heights[k], heights[k + 1] + gap if k + 1 < len(heights) else 0.0)
    for k, height in zip(order, heights, strict=True):
        share, colour, style, name = ends[k]
        axes.annotate(
            escape.matplotlib(_short(name)),
            xy=(CUT, share),
            xytext=(CUT * 1.09, height),
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
            parse_math=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.0,
                "linestyle": style,
                "alpha": 0.6,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _title(axes: Axes, title: str, board: Board, shown: int) -> None:
    rest = f"; {shown} of {len(board.rows)} submissions" if shown < len(board.rows) else ""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=32)
    size, hardware = _subtitle(board)
    text = escape.matplotlib(size + rest) + "\n" + escape.matplotlib(hardware)
    above = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 8), "textcoords": "offset points"}
    axes.annotate(text, **above, fontsize=8.5, color=GREY, parse_math=False)


def _subtitle(board: Board) -> tuple[str, str]:
    """What was run, and on what."""
    studies = f"{board.studies} {'study' if board.studies == 1 else 'studies'}"
    size = f"{len(board.workloads)} workloads, {studies} each, {board.trials} trials"
    return f"suite {board.suite}, {size}", board.hardware


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", facecolor="white")

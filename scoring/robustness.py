"""Does the winner hang on one workload, or on who else entered? The board says so where it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from scoring.scores import Array, bases, counted, score


def changes_of_winner(
    values: Array,
    names: Sequence[str],
    workloads: Sequence[str],
    credit: Callable[[Array], Array],
    *,
    relative: bool,
    held_out: Mapping[int, int] = MappingProxyType({}),
) -> list[str]:
    """Lines such as "without flights_dlrm, adamw would win (0.61 to 0.58)", none where the winner holds.

    values [S, W], rows in the board's order, so the first is the winner; `credit` as in bootstrap.draw_scores for
    these rows. `relative`: whether credits depend on who else entered (the AlgoPerf score); an anchored score does
    not, so no submission is dropped there. Dropping the winner itself is no finding. `held_out` as in
    scores.counted: such a workload goes with its base, and alone.
    """
    lines = []
    credits = credit(values)
    counting = bases(len(workloads), held_out)
    if len(counting) > 1:
        left = (credits.sum(axis=1, keepdims=True) - credits) / (len(counting) - 1)  # [S, B] without each workload
        for b, w in enumerate(counting):
            lines += _line(workloads[w], left[:, b], names)
    for own, base in held_out.items():
        without = values.copy()
        without[:, own] = values[:, base]  # asks nothing that its base does not
        lines += _line(workloads[own], score(credit(without)), names)
    if relative:
        for s in _sole_fastest(values, counted(values, held_out)):
            if s:
                rest = [i for i in range(len(names)) if i != s]
                lines += _line(names[s], score(credit(values[rest])), [names[i] for i in rest])
    return lines


def without_each(logs: Array, names: Sequence[str], workloads: Sequence[str]) -> list[str]:
    """The same for scores that are geometric means over workloads, from logarithms [S, W], NaN for none."""
    measured = [w for w in range(len(workloads)) if np.isfinite(logs[:, w]).all()]
    lines = []
    for w in measured if len(measured) > 1 else ():
        rest = [other for other in measured if other != w]
        lines += _line(workloads[w], np.exp(logs[:, rest].mean(axis=1)), names)
    return lines


def _line(dropped: str, scores: Array, names: Sequence[str]) -> list[str]:
    best = int(np.argmax(scores))
    if scores[best] <= scores[0] + 1e-9:
        return []
    digits = 2 if f"{scores[best]:.2f}" != f"{scores[0]:.2f}" else 4
    return [f"without {dropped}, {names[best]} would win ({scores[best]:.{digits}f} to {scores[0]:.{digits}f})"]


def _sole_fastest(*tables: Array) -> list[int]:
    """The rows that alone are fastest somewhere: no other one's absence changes a ratio. At most one a workload, of
    the values as they were made and as they count."""
    values = np.concatenate(tables, axis=1)
    fastest = values == values.min(axis=0)
    sole = fastest & (fastest.sum(axis=0) == 1) & np.isfinite(values)
    return [int(s) for s in np.flatnonzero(sole.any(axis=1))]

"""`axes`: the same bench at several horizons or batch sizes. Do rankings flip?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from rich.console import Console

from harness.cluster.connect import connected
from harness.protocol.settings import Settings
from harness.report.show import open_boards
from harness.runs.bench import bench
from scoring.axis import AxisCurves, axis_curves
from scoring.board import BoardQuery
from scoring.names import LADDER

Name = Literal["horizon", "batch"]


def along_axis(settings: Settings, name: Name, factors: Sequence[float], console: Console) -> AxisCurves:
    """Runs what is missing of the bench at each factor, one after the other, and gathers the boards.

    Raises UsageError for settings that cannot be run.
    """
    boards = {}
    with connected(settings, console) as cluster:
        for factor in dict.fromkeys(factors):
            layout = replace(settings.layout, **{name: factor})
            report = bench(replace(settings, layout=layout, needs_targets=False), console, cluster)
            query = BoardQuery(
                suite=report.suite,
                ruleset=settings.ruleset,
                workloads=report.workloads,
                fingerprint=report.fingerprint,
                score=LADDER,
            )
            boards[factor] = open_boards(settings.results, query, layout).build()
    return axis_curves(name, boards)

"""`make scale`: what the harness itself costs as trials, submissions and records grow. It trains nothing.

Plan, schedule, race, records, progress, board and mirror are those of a bench; only what a trial does inside its
Ray task is replaced, by recorded curves. The report names what is out of bounds, and the exit status is 1 then.
Figures of a run are in docs/scale.md.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console

from harness.studies import scale_costs, simulated
from harness.studies.growth import measured
from harness.studies.scale_bench import (
    SETTLED,
    STUDIES,
    WORKLOADS,
    PlannedBench,
    over_nodes,
    planned_bench,
    run_bench,
)
from harness.studies.scale_report import ScaleReport
from harness.system import machine


def scale(trials: int, console: Console, *, mirror_s: float, ray_address: str | None = None) -> ScaleReport:
    """Measures a bench of so many trials, rounded up to whole submissions, its records, board and mirror.

    It runs on the Ray cluster at `ray_address`, or on one that it starts on this machine, and then on some of
    several nodes.
    """
    with tempfile.TemporaryDirectory(prefix="pacer-scale-") as folder:
        curves = Path(folder) / "curves"
        simulated.keep_curves(curves)
        bench = planned_bench(trials, Path(folder) / "results", curves, ray_address)
        return _measure(bench, console, mirror_s)


def _measure(bench: PlannedBench, console: Console, mirror_s: float) -> ScaleReport:
    ran = run_bench(bench, console)
    peak, settled = ran.memory.last[1], dict(ran.memory.points).get(SETTLED)
    per_trial = None
    if settled is not None and bench.trials > SETTLED:
        per_trial = (peak - settled) * 1e6 / (bench.trials - SETTLED)
    console.print("resuming from its records", highlight=False)
    sizes = [size for size, _ in ran.seconds.points if size >= 1000] or [bench.trials]
    resumed = measured(
        "a resumed bench until it is ready", "records", sizes, lambda n: scale_costs.resume(bench, n, console)
    )
    console.print("its leaderboard", highlight=False)
    board_s, files_s = scale_costs.leaderboard(bench)
    started = time.perf_counter()
    trials, _ = bench.store.brief()
    reading_s = time.perf_counter() - started
    entrants = sorted({-(-n // (WORKLOADS * STUDIES)) for n in sizes})
    scored = measured(
        "scores of a leaderboard", "submissions", entrants, lambda n: scale_costs.score(bench, trials, n)
    )
    console.print(f"MLflow, for {mirror_s:.0f} s", highlight=False)
    mirrored, mirror_text = scale_costs.mirror_for(bench, trials, mirror_s)
    further = () if bench.settings.ray_address is not None else (over_nodes(bench, console),)
    return ScaleReport(
        trials=bench.trials,
        submissions=len(bench.submissions),
        devices=ran.devices,
        hardware=str(machine.hardware()),
        rate=bench.trials / ran.seconds.last[1],
        driver_cpu_ms=1000 * ran.driver_cpu_s / bench.trials,
        peak_mb=peak,
        settled_mb=settled,
        bytes_per_trial=per_trial,
        resume_s=resumed.last[1],
        board_s=board_s,
        files_s=files_s,
        reading_s=reading_s,
        scoring_s=scored.last[1],
        mirrored=mirrored.last[0] / mirrored.last[1],
        mirror_text=mirror_text,
        growth=(ran.seconds, ran.memory, resumed, scored, mirrored, *further),
    )

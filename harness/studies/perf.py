"""`make perf`: what the harness adds to a step, to a trial and to a bench, as ratios measured side by side.

A step in the harness is timed against a hand-written loop with the same model, data and optimizer, interleaved in
one run. Each loop has a process of its own, as each player has: how fast a process is depends by some percent on
where its memory came to lie, which is to be chance on both sides. What a step in the harness spends outside the
model and the optimizer is timed within the very same steps.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console

from harness.protocol.choose import listed_workloads
from harness.protocol.ending import EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial
from harness.studies.bare_loop import bare_loop
from harness.studies.last_bench import last_bench
from harness.studies.perf_report import (
    GPU_STEP_BOUND,
    SMALLEST,
    SMALLEST_STEP_BOUND,
    STEP_BOUND,
    PerfReport,
    StepCost,
)
from harness.system import machine
from harness.system.machine import Device
from harness.trial.referee import run_trial
from pacer.errors import PacerError
from scoring.records import Record
from scoring.records.layout import SINGLE
from scoring.records.protocol import Account
from submissions.registry import SubmissionRef
from workloads.base import Workload

_SECONDS_A_LOOP = 1.5

# The reference, but what it reports as its loss are the seconds that the model and the optimizer took.
_TIMED = SubmissionRef(
    name="timed",
    filename="timed.py",
    text="""
import time

from submissions.nadamw import NAdamW


class Timed(NAdamW):
    name = "timed"

    def update(self, training, batch):
        start = time.perf_counter()
        super().update(training, batch)
        return time.perf_counter() - start
""",
)


class PerfError(PacerError):
    """A trial that was to be timed broke."""


def perf(settings: Settings, console: Console, pairs: int) -> PerfReport:
    """Measures every workload of the suite and the smallest of all, then reads the last bench's records."""
    workloads = [*listed_workloads(settings)]
    if settings.workloads is None:
        workloads += [w for w in listed_workloads(replace(settings, suite="smoke")) if w.name == SMALLEST]
    costs = {}
    with machine.exclusive_devices(1) as (device,):
        for workload in dict.fromkeys(workloads):
            with console.status(f"{workload.name}: {pairs} pairs"):
                costs[workload.name] = _step_cost(settings, workload, pairs, device)
    bench = last_bench(settings)
    return PerfReport(
        workloads=costs,
        trial_start_s=bench and bench.trial_start_s,
        bench_wall_ratio=bench and bench.wall_ratio,
        overhead_cores=bench and bench.overhead_cores,
        hardware=str(machine.hardware()),
    )


def _step_cost(settings: Settings, workload: Workload, pairs: int, device: Device) -> StepCost:
    workload.dataset.prepare(settings.data)
    first = 8 if device.gpu is None else 64  # the first steps of a process are slower: a GPU loads its code then
    wanted = max(8, round(_SECONDS_A_LOOP / bare_loop(workload, settings.data, first, device)))
    # The reference's trial ends at its horizon; a quarter as many steps again go before those that are timed.
    steps = min(wanted, workload.step_hint * 4 // 5)
    trial = _loop(settings, workload, steps)
    ratios, shares, step_times, resumed, lost_s = [], [], [], [], []
    for pair in range(pairs):
        # The other one goes first each time, so that drift favours none.
        before = bare_loop(workload, settings.data, steps, device) if pair % 2 else None
        broken = _interrupted(trial, device).submission_s if pair % 2 else None
        record = _run(trial, device)
        step_s, share = _step_time(record)
        ratios.append(step_s / (before or bare_loop(workload, settings.data, steps, device)))
        broken = broken or _interrupted(trial, device).submission_s
        resumed.append(broken / record.submission_s)
        lost_s.append(broken - record.submission_s)
        shares.append(share)
        step_times.append(step_s)
    return StepCost(
        step_ratio=median(ratios),
        step_ratio_quartiles=_quartiles(ratios),
        outside_share=median(shares) if device.gpu is None else None,
        resume_ratio=median(resumed),
        resume_ratio_quartiles=_quartiles(resumed),
        resume_s=median(lost_s),
        bound=_bound(workload, device),
        seconds_per_step=median(step_times),
    )


def _bound(workload: Workload, device: Device) -> float:
    if device.gpu is not None:
        return GPU_STEP_BOUND
    return SMALLEST_STEP_BOUND if workload.name == SMALLEST else STEP_BOUND


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.25, 0.75))
    return float(low), float(high)


def _loop(settings: Settings, workload: Workload, steps: int) -> Trial:
    """A trial of the reference with five evaluations, the last one `steps` steps after the first."""
    ending = EverySteps(every=steps // 4, last=steps + steps // 4, budget_s=1e4, stop_at_target=False)
    overrides: Overrides = {"suite": workload.suite, "ruleset": "self", "seed": 0, "layout": SINGLE}
    return Trial.of(settings, workload, _TIMED, ending, **overrides)


def _run(trial: Trial, device: Device) -> Record:
    """The record of a trial that ran to its end. Raises PerfError where it broke."""
    record = run_trial(trial, [device])
    if record.failure is not None:
        raise PerfError(
            f"{record.workload}: the reference's trial broke ({record.failure.kind}: {record.failure.message}); "
            "type the same command again"
        )
    return record


def _step_time(record: Record) -> tuple[float, float]:
    """Seconds of the wall per step from a trial's first evaluation to its last, as a bare loop is timed, and the
    share of them outside the model and the optimizer. Raises PerfError where the trial was evaluated less than
    twice or reported no times."""
    seconds, count, inside = 0.0, 0, 0.0
    for before, after in pairwise(record.evaluations):
        if after.train_loss is None:
            raise PerfError(f"{record.workload}: the reference's trial reported no time at step {after.step}")
        steps = after.step - before.step
        seconds += after.time_s - before.time_s
        count += steps
        inside += steps * after.train_loss
    if not count:
        raise PerfError(
            f"{record.workload}: the reference's trial ended after {len(record.evaluations)} evaluations"
        )
    seconds += _others_s(record)
    return seconds / count, 1 - inside / seconds


def _others_s(record: Record) -> float:
    """What came off a trial's clock after its first evaluation."""
    accounts = [account for account, _ in record.ledger]
    first = accounts.index(Account.EVALUATION) if Account.EVALUATION in accounts else 0
    return sum(seconds for account, seconds in record.ledger[first:] if account == Account.OTHERS)


def _interrupted(trial: Trial, device: Device) -> Record:
    """The same trial, given up after its third evaluation and taken up again from the checkpoint of the second."""
    ending = trial.ending
    assert isinstance(ending, EverySteps)
    with tempfile.TemporaryDirectory(prefix="pacer-perf-") as folder:
        saving = replace(trial, checkpoint=Path(folder) / "trial.checkpoint")
        given_up = replace(ending, last=3 * ending.every)
        _run(replace(saving, ending=given_up, checkpoint_every_s=0.0), device)
        record = _run(replace(saving, checkpoint_every_s=math.inf), device)
    if not record.resumed:
        raise PerfError(f"{record.workload}: the interrupted trial began anew instead of from its checkpoint")
    return record

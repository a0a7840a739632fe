"""`make perf`: what the harness adds to a step, to a trial and to a bench, as ratios measured side by side.

A step in the harness is timed against a hand-written loop with the same model, data and optimizer, interleaved in
one run. Each loop has a process of its own, as each player has: how fast a process is depends by some percent on
where its memory came to lie, which is to be chance on both sides. What a step in the harness spends outside the
model and the optimizer is timed within the very same steps.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console

from harness.player import devices
from harness.player.batches import EpochBatches
from harness.protocol import seeds
from harness.protocol.choose import listed_workloads
from harness.protocol.ending import EverySteps
from harness.protocol.settings import Settings
from harness.protocol.trial import Overrides, Trial
from harness.system import machine
from harness.system.machine import Device
from harness.trial.evaluator import initial_model
from harness.trial.referee import run_trial
from pacer.errors import PacerError
from scoring.records import Record, RecordStore
from scoring.records.layout import SINGLE
from submissions.nadamw import NAdamW
from submissions.registry import SubmissionRef
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import to_device

_SECONDS_A_LOOP = 1.5
_SMALLEST = "mnist_mlp"
_STEP_BOUND, _SMALLEST_STEP_BOUND, _GPU_STEP_BOUND, _OUTSIDE_BOUND = 1.03, 1.10, 1.02, 0.10
_START_BOUND_S, _RESUME_BOUND_S, _WALL_BOUND, _OVERHEAD_BOUND = 1.0, 0.15, 1.4, 0.03

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


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """`step_ratio`: seconds per step in the harness over a bare loop. `outside_share`: share of a step in the
    harness that is neither the model nor the optimizer; None on a GPU, which works while the process goes on.
    `resume_ratio`: submission time of a trial that was interrupted and went on from its checkpoint over that of
    another; `resume_s`: the difference, in which a fresh process warms up, however long the trial. Medians over
    pairs, with quartiles. `step_ratio` may be `bound` at most."""

    step_ratio: float
    step_ratio_quartiles: tuple[float, float]
    outside_share: float | None
    resume_ratio: float
    resume_ratio_quartiles: tuple[float, float]
    resume_s: float
    bound: float
    seconds_per_step: float


@dataclass(frozen=True, kw_only=True)
class PerfReport:
    """`trial_start_s`: from a device falling free to the clock of its next trial, median. `bench_wall_ratio`: wall
    time of the bench over submission time per device. `overhead_cores`: share of a core that the driver and Ray's
    services took while trials ran. The last three are of the last bench that ran trials, None without one."""

    workloads: Mapping[str, StepCost]
    trial_start_s: float | None
    bench_wall_ratio: float | None
    overhead_cores: float | None
    hardware: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def complaints(self) -> list[str]:
        """What is out of bounds."""
        found = []
        for name, cost in self.workloads.items():
            if cost.step_ratio > cost.bound:
                found.append(
                    f"{name}: a step takes {cost.step_ratio:.3f} x a bare loop's, expected at most {cost.bound}"
                )
            if cost.resume_s > _RESUME_BOUND_S:
                found.append(
                    f"{name}: an interruption costs {cost.resume_s:.2f} s of submission time, "
                    f"expected at most {_RESUME_BOUND_S}"
                )
            if (cost.outside_share or 0.0) > _OUTSIDE_BOUND and name != _SMALLEST:
                found.append(f"{name}: {cost.outside_share:.1%} of a step is neither model nor optimizer")
        for value, bound, name in (
            (self.trial_start_s, _START_BOUND_S, "trial_start_s"),
            (self.bench_wall_ratio, _WALL_BOUND, "bench_wall_ratio"),
            (self.overhead_cores, _OVERHEAD_BOUND, "overhead_cores"),
        ):
            if value is not None and value > bound:
                found.append(f"{name} is {value:.3f}, expected at most {bound}")
        return found

    def within_bounds(self) -> bool:
        """Whether nothing is to complain of."""
        return not self.complaints()

    def as_text(self) -> str:
        """For a person."""
        lines = [
            f"on {self.hardware}",
            f"{'workload':<20} {'step ratio':>10} {'quartiles':>13} {'outside':>8} "
            f"{'resumed':>8} {'quartiles':>13} {'+ms':>5} {'ms/step':>8}",
        ]
        for name, cost in self.workloads.items():
            spreads = [
                f"{low:.3f}-{high:.3f}" for low, high in (cost.step_ratio_quartiles, cost.resume_ratio_quartiles)
            ]
            outside = "-" if cost.outside_share is None else f"{cost.outside_share:.1%}"
            lines.append(
                f"{name:<20} {cost.step_ratio:>10.3f} {spreads[0]:>13} {outside:>8} "
                f"{cost.resume_ratio:>8.3f} {spreads[1]:>13} {1000 * cost.resume_s:>5.0f} "
                f"{1000 * cost.seconds_per_step:>8.2f}"
            )
        if self.bench_wall_ratio is None:
            lines.append("no bench has run trials in this results folder yet; type: make bench, then make perf")
        else:
            lines.append(
                f"trial_start_s     {self.trial_start_s:.3f}  (from a free device to a running clock, median)"
            )
            lines.append(f"bench_wall_ratio  {self.bench_wall_ratio:.3f}  (wall time / submission time per device)")
            lines.append(f"overhead          {self.overhead_cores:.2%} of a core while trials ran")
        return "\n".join([*lines, *(f"out of bounds: {text}" for text in self.complaints())])


def perf(settings: Settings, console: Console, pairs: int) -> PerfReport:
    """Measures every workload of the suite and the smallest of all, then reads the last bench's records."""
    workloads = [*listed_workloads(settings)]
    if settings.workloads is None:
        workloads += [w for w in listed_workloads(replace(settings, suite="smoke")) if w.name == _SMALLEST]
    costs = {}
    with machine.exclusive_devices(1) as places:
        for workload in dict.fromkeys(workloads):
            with console.status(f"{workload.name}: {pairs} pairs"):
                costs[workload.name] = _step_cost(settings, workload, pairs, places)
    trial_start, wall_ratio, overhead = _last_bench(settings)
    return PerfReport(
        workloads=costs,
        trial_start_s=trial_start,
        bench_wall_ratio=wall_ratio,
        overhead_cores=overhead,
        hardware=str(machine.hardware()),
    )


def _step_cost(settings: Settings, workload: Workload, pairs: int, places: Sequence[Device]) -> StepCost:
    place = places[0]
    workload.dataset.prepare(settings.data)
    first = 8 if place.gpu is None else 64  # the first steps of a process are slower: a GPU loads its code then
    wanted = max(8, round(_SECONDS_A_LOOP / _bare_loop(workload, settings.data, first, place)))
    # The reference's trial ends at its horizon; a quarter as many steps again go before those that are timed.
    steps = min(wanted, workload.step_hint * 4 // 5)
    trial = _loop(settings, workload, steps)
    ratios, shares, paces, resumed, lost_s = [], [], [], [], []
    for pair in range(pairs):
        # The other one goes first each time, so that drift favours none.
        before = _bare_loop(workload, settings.data, steps, place) if pair % 2 else None
        broken = _interrupted(trial, places).submission_s if pair % 2 else None
        record = run_trial(trial, places)
        pace, share = _pace(record)
        ratios.append(pace / (before or _bare_loop(workload, settings.data, steps, place)))
        broken = broken or _interrupted(trial, places).submission_s
        resumed.append(broken / record.submission_s)
        lost_s.append(broken - record.submission_s)
        shares.append(share)
        paces.append(pace)
    return StepCost(
        step_ratio=median(ratios),
        step_ratio_quartiles=_quartiles(ratios),
        outside_share=median(shares) if place.gpu is None else None,
        resume_ratio=median(resumed),
        resume_ratio_quartiles=_quartiles(resumed),
        resume_s=median(lost_s),
        bound=_bound(workload, place),
        seconds_per_step=median(paces),
    )


def _bound(workload: Workload, place: Device) -> float:
    if place.gpu is not None:
        return _GPU_STEP_BOUND
    return _SMALLEST_STEP_BOUND if workload.name == _SMALLEST else _STEP_BOUND


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.25, 0.75))
    return float(low), float(high)


def _loop(settings: Settings, workload: Workload, steps: int) -> Trial:
    """A trial of the reference with five evaluations, the last one `steps` steps after the first."""
    ending = EverySteps(every=steps // 4, last=steps + steps // 4, budget_s=1e4, stop_at_target=False)
    overrides: Overrides = {"suite": workload.suite, "ruleset": "self", "seed": 0, "layout": SINGLE}
    return Trial.of(settings, workload, _TIMED, ending, **overrides)


def _pace(record: Record) -> tuple[float, float]:
    """Seconds per step from a trial's first evaluation to its last, and the share of them outside the model and the
    optimizer."""
    if record.failure is not None:
        raise PerfError(
            f"{record.workload}: the reference's trial broke ({record.failure.kind}: {record.failure.message}); "
            "type the same command again"
        )
    spans = [(b.time_s - a.time_s, b.step - a.step, b.train_loss) for a, b in pairwise(record.evaluations)]
    assert record.failure is None, record.failure
    seconds, count = sum(s for s, _, _ in spans), sum(n for _, n, _ in spans)
    inside = sum(n * update_s for _, n, update_s in spans)
    return seconds / count, 1 - inside / seconds


def _interrupted(trial: Trial, places: Sequence[Device]) -> Record:
    """The same trial, given up after its third evaluation and taken up again from the checkpoint of the second."""
    ending = trial.ending
    assert isinstance(ending, EverySteps)
    with tempfile.TemporaryDirectory(prefix="pacer-perf-") as folder:
        saving = replace(trial, checkpoint=Path(folder) / "trial.checkpoint")
        given_up = replace(ending, last=3 * ending.every)
        run_trial(replace(saving, ending=given_up, checkpoint_every_s=0.0), places)
        record = run_trial(replace(saving, checkpoint_every_s=math.inf), places)
    assert record.resumed
    return record


def _bare_loop(workload: Workload, data: Path, steps: int, place: Device) -> float:
    """Seconds per step of the loop that anyone would write, after a quarter as many steps to warm up."""
    # Players are forked from the same server.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as fresh:
        return fresh.submit(_train, workload.suite, workload.name, data, steps, place).result()


def _train(scale: str, name: str, data: Path, steps: int, place: Device) -> float:
    if place.core is not None:
        machine.pin(place.core)
    machine.keep_freed_memory()  # as players do: it is not the harness that is measured by it
    torch.set_num_threads(1)
    device = devices.of(place.gpu)
    workload = registry.find(scale, name)
    arrays = open_split(workload.dataset.folder(data.absolute()), "train", workload.train_examples)
    model = initial_model(workload, seeds.init_seed(0, workload.name, 0, 0)).to(device)
    devices.set_products(workload.precision)
    devices.lower(model, workload.precision, device)
    hp = SimpleNamespace(**NAdamW.defaults)
    optimizer, schedule = NAdamW().configure(model, SimpleNamespace(step_hint=workload.step_hint), hp)
    warm_up = steps // 4
    # The very batches of the trial that it is compared with: their lengths may differ.
    source = EpochBatches.of(workload, arrays, seeds.data_seed(0, workload.name, 0, 0))
    indexes = [source.next(workload.batch_size).index.numpy() for _ in range(warm_up + steps)]
    start = 0.0
    for step, index in enumerate(indexes):
        if step == warm_up:
            devices.settled(device)
            start = time.perf_counter()
        batch = to_device(workload.collate(arrays, index), device)
        optimizer.zero_grad(set_to_none=True)
        loss = workload.loss(model(*batch.inputs), batch).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    devices.settled(device)
    return (time.perf_counter() - start) / steps


def _last_bench(settings: Settings) -> tuple[float | None, float | None, float | None]:
    """(trial start, wall ratio, overhead) of the last bench of the suite that ran enough trials to tell."""
    path = settings.results / settings.suite / "benches.jsonl"
    if not path.exists():
        return None, None, None
    benches = [json.loads(line) for line in path.read_text().splitlines()]
    benches = [b for b in benches if b["trials_run"] >= 2 * b["devices"]]
    if not benches:
        return None, None, None
    last = benches[-1]
    records, _ = RecordStore(settings.results, settings.suite).read()
    ran = [r for r in records if last["started"] <= r.started <= last["started"] + last["wall_s"]]
    starts = _starts(ran)
    ratio = last["wall_s"] / (last["submission_s"] / last["devices"])
    return median(starts) if starts else None, ratio, last["overhead_cores"]


def _starts(records: Sequence[Record]) -> list[float]:
    """Seconds from the end of a worker's trial to the clock of its next one, for all but each worker's first."""
    by_worker: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_worker[record.worker].append(record)
    starts = []
    for ran in by_worker.values():
        ran.sort(key=lambda r: r.started)
        starts += [b.clock_started - a.ended for a, b in pairwise(ran) if b.clock_started]
    return starts

"""Trials that follow recorded learning curves in place of training, to measure the harness itself: see scale.py.

The curves are those of AlgoPerf's published 0.6 leaderboard, which come with Pacer: 240 trials, 41 evaluations in
the median. A trial takes one of its workload, stretched in time as its submission and its own seed say; what it
leaves is a record like that of any trial, with a ledger of as many entries.
"""

from __future__ import annotations

import functools
import math
import os
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from harness.algoperf.facts import leaderboard
from harness.algoperf.find_logs import leaderboards, published
from harness.algoperf.import_logs import import_logs
from harness.protocol import seeds
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial, results_hash
from harness.system import machine
from harness.system.machine import Device
from harness.trial.checkpoint_store import FILES, CheckpointStore
from harness.trial.remote_player import RemoteSlots
from scoring.records import Evaluation, Outcome, Record, RecordStore
from submissions.registry import SubmissionRef
from workloads import registry
from workloads.base import Workload

FACTS = leaderboard("0.6", "external")
"""Whose curves they are."""

_OF_SUBMISSION, _OF_TRIAL = 0.3, 0.1
"""Spread of the stretches: standard deviations of their logarithms."""

_LENGTH = 0.7
"""Share of the budget that a whole curve takes, before it is stretched."""

_PAUSE_S, _EVALUATION_S, _LOGGING_S = 3e-4, 0.1, 2e-5


def workloads(count: int) -> tuple[Workload, ...]:
    """So many workloads, which have names and step hints and are never trained."""
    like = registry.find("smoke", "mnist_mlp")
    return tuple(replace(like, name=f"recorded_{n:03}", target=0.0, step_hint=1000 + 10 * n) for n in range(count))


def submissions(count: int, reference: str) -> tuple[SubmissionRef, ...]:
    """So many submissions, the reference first, which are never run."""
    names = [reference, *(f"submission_{n:04}" for n in range(1, count))]
    return tuple(SubmissionRef(name=name, text=f"name = {name!r}\n", filename=f"{name}.py") for name in names)


def run_trial(
    trial: Trial,
    devices: Sequence[Device] = (),
    checkpoint_store: CheckpointStore = FILES,
    remote_slots: RemoteSlots | None = None,
) -> Record:
    """The record of a trial whose curve was recorded before; `trial.data` is the folder of the curves.

    Its evaluations are on the grid of steps that was ordered, and it obeys the stop rule at each, as a trial does.
    """
    started = time.time()
    ordered, stop_rule = trial.ending, trial.ending.stop_rule
    assert isinstance(ordered, EverySteps)
    like, stretch, rng = _draw(trial)
    end_s = like.evaluations[-1].time_s
    evaluations: list[Evaluation] = []
    ledger: list[tuple[str, float]] = [("start", 0.4), ("setup", 0.002)]
    outcome, clock_s = Outcome.BUDGET, 0.002
    step = 0
    for losses, recorded in zip(rng.random(len(like.evaluations)).tolist(), like.evaluations, strict=True):
        time_s = _LENGTH * trial.budget_s * stretch * recorded.time_s / end_s
        if time_s >= min(trial.budget_s, stop_rule.until_s):
            outcome = stop_rule.stop_reason(time_s, evaluations) or Outcome.BUDGET
            break
        step = ordered.step_after(step)
        made = Evaluation(step=step, examples=32 * step, time_s=time_s, value=recorded.value, train_loss=losses)
        evaluations.append(made)
        ledger += [
            ("training", time_s - clock_s),
            ("paused", _PAUSE_S * (1 + losses)),
            ("evaluation", _EVALUATION_S),
        ]
        ledger += [("logging", _LOGGING_S * (1 + losses)), ("paused", _PAUSE_S)]
        clock_s = time_s
        if like.meets(recorded.value):
            outcome = Outcome.REACHED
            break
        if why := stop_rule.stop_reason(time_s, evaluations):
            outcome = why
            break
    wall_s = sum(seconds for _, seconds in ledger)
    hardware = _hardware()
    return Record(
        suite=trial.suite,
        workload=trial.workload,
        submission=trial.submission.name,
        ruleset=trial.ruleset,
        seed=trial.seed,
        study=trial.study,
        trial=trial.trial,
        workload_hash=_hash(trial.workload),
        submission_hash=trial.submission.hash,
        outcome=outcome,
        evaluations=tuple(evaluations),
        metric=like.metric,
        higher_is_better=like.higher_is_better,
        target=like.target,
        test_value=None,
        hp={"lr": stretch, "beta1": 0.9, "beta2": 0.999, "warmup": 0.05, "weight_decay": 0.01},
        step_hint=_workload(trial.workload).step_hint,
        batch_size=32,
        budget_s=trial.budget_s,
        evaluation_period_s=trial.evaluation_period_s,
        ledger=tuple(ledger),
        wall_s=wall_s,
        started=started,
        clock_started=started,
        ended=started + wall_s,
        device="1 CPU core",
        hardware=str(hardware),
        fingerprint=hardware.fingerprint,
        versions=_versions(),
        code=machine.code_version(),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        parameters=100_000,
        state_bytes=800_000,
        guards=("files", "network", "processes"),
    )


def _draw(trial: Trial) -> tuple[Record, float, np.random.Generator]:
    """The recorded trial whose curve it has, and the factor by which it is slower."""
    own = np.random.default_rng(seeds.submission_seed(trial.seed, "", trial.submission.name, 0, 0))
    rng = np.random.default_rng(
        seeds.submission_seed(trial.seed, trial.workload, trial.submission.name, trial.study, trial.trial)
    )
    groups = _curves(trial.data)
    group = groups[int(trial.workload.rpartition("_")[2]) % len(groups)]
    stretch = math.exp(_OF_SUBMISSION * own.standard_normal() + _OF_TRIAL * rng.standard_normal())
    return group[int(rng.integers(len(group)))], stretch, rng


def keep_curves(folder: Path) -> None:
    """Imports the curves into a folder of records."""
    with published() as unpacked:
        for facts, logs in leaderboards(unpacked):
            if facts == FACTS:
                import_logs(logs, facts, folder, Console(quiet=True))


@functools.cache
def _curves(folder: Path) -> Sequence[Sequence[Record]]:
    """The recorded trials that were evaluated, by workload; on another node than the driver's they are unpacked."""
    store = RecordStore(folder, FACTS.suite)
    if store.path.exists():
        records, _ = store.read()
    else:
        with tempfile.TemporaryDirectory() as own:
            keep_curves(Path(own))
            records, _ = RecordStore(Path(own), FACTS.suite).read()
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.evaluations and record.evaluations[-1].time_s > 0:
            groups[record.workload].append(record)
    return list(groups.values())


@functools.cache
def _workload(name: str) -> Workload:
    number = int(name.rpartition("_")[2])
    return workloads(number + 1)[number]


@functools.cache
def _hash(name: str) -> str:
    return results_hash(_workload(name))


_versions = functools.cache(machine.versions)
_hardware = functools.cache(machine.hardware)

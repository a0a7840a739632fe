"""Has trials run on a cluster as devices fall free, those again that its nodes have spoilt."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.cluster.cluster import REFRESH_EVERY_S, Cluster
from harness.cluster.driver_services import RunningTrial
from harness.cluster.ray_trials import Interrupted, RayTrials, RunTrial
from harness.protocol.trial import Trial
from harness.protocol.trial_id import TrialId
from harness.trial.referee import run_trial
from scoring.records import Record
from scoring.stopping import StopRule

_RETRIES = 3
"""How often a trial is run again whose worker or node died, or whose measurement was spoilt."""


@dataclass(frozen=True)
class LostTrial:
    """A trial that left no record, through no fault of its submission; the next bench runs it again."""

    trial: Trial
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScheduleListener:
    """Called while trials run: `repeated` for each that has to be run again, with the reason and the node it was on
    if that is known; `running` every few seconds with all that run, and on how many devices."""

    repeated: Callable[[Trial, str, str | None], None] = lambda trial, reason, node: None
    running: Callable[[Collection[RunningTrial], int], None] = lambda running, devices: None


class Submitted(Protocol):
    """The trials that a cluster has been given and that have not ended: RayTrials, or a stand-in for tests."""

    @property
    def devices(self) -> int: ...
    def __len__(self) -> int: ...
    def submit(self, trial: Trial) -> None: ...
    def ended(self) -> Iterator[Record | Interrupted]: ...
    def refresh(self) -> bool: ...
    def running(self) -> Collection[RunningTrial]: ...
    def node_of(self, trial: Trial) -> str | None: ...
    def withdraw_stranded(self) -> Sequence[Trial]: ...


def run(
    trials: Sequence[Trial],
    cluster: Cluster,
    stop_rule: Callable[[Trial], StopRule] | None = None,
    listener: ScheduleListener = ScheduleListener(),
    run_one: RunTrial = run_trial,
) -> Iterator[Record | LostTrial]:
    """Runs trials as devices fall free and yields their records as they come, in any order.

    `stop_rule` is asked when a trial is about to start, and may know of all records that were yielded before.
    Trials of a node that is gone move to others; while there is none, they wait for one. `run_one` runs a trial on
    devices. Of the trials, only those that run are held.
    """
    return run_on(RayTrials(cluster, run_one), trials, stop_rule, listener)


def run_on(
    submitted: Submitted,
    trials: Sequence[Trial],
    stop_rule: Callable[[Trial], StopRule] | None = None,
    listener: ScheduleListener = ScheduleListener(),
) -> Iterator[Record | LostTrial]:
    """The same, on whatever runs them."""
    coming, again = iter(trials), deque[Trial]()
    attempts: Counter[TrialId] = Counter()

    def repeat(trial: Trial, reason: str) -> None:
        again.append(trial)
        listener.repeated(trial, reason, submitted.node_of(trial))

    left = len(trials)
    while left:
        while len(submitted) < min(left, 2 * submitted.devices):  # a queue as long as the cluster: no device waits
            trial = again.popleft() if again else next(coming)
            if stop_rule is not None:
                trial = trial.under(stop_rule(trial))
            submitted.submit(trial)
        for result in submitted.ended():
            if isinstance(result, Interrupted):
                trial = result.trial
                attempts[trial.id] += 1
                if result.passing and attempts[trial.id] <= _RETRIES:
                    repeat(trial, result.reason)
                    continue
                result = LostTrial(trial, result.reason)
            left -= 1
            yield result
        if submitted.refresh():
            listener.running(submitted.running(), submitted.devices)
            for trial in submitted.withdraw_stranded():
                repeat(trial, "the nodes that it could have run on are gone")
        elif not submitted.devices:
            time.sleep(REFRESH_EVERY_S)

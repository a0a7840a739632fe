"""The schedule, on a stand-in for Ray: what runs when and again, and who is to blame when a player ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster import schedule
from harness.cluster.driver_services import RunningTrial
from harness.cluster.ray_trials import Interrupted, checked
from harness.cluster.schedule import LostTrial, ScheduleListener, run_on
from harness.protocol.plan import plan
from harness.protocol.settings import Settings
from harness.protocol.trial import Trial
from harness.trial.player_handle import EXIT, MeasurementInvalid
from scoring.records import Failure, Record
from scoring.stopping import NEVER
from submissions.registry import resolve
from tests.scoring.build import record
from workloads import registry

EXITED = replace(record(time=None), failure=Failure(hook="update", kind=EXIT, message="the player was killed"))


def on_a_node(ended: Record, *, dies: bool) -> str:
    """What a worker says of a record, whose raylet dies 0.2 s later, or does not."""
    reader, writer = os.pipe()
    raylet = os.fork()
    if raylet == 0:
        worker = os.fork()
        if worker == 0:
            try:
                answer = checked(ended, os.getppid()).failure.message
            except MeasurementInvalid as invalid:
                answer = str(invalid)
            os.write(writer, answer.encode())
            os._exit(0)
        if dies:
            time.sleep(0.2)
        else:
            os.waitpid(worker, 0)
        os._exit(0)
    os.close(writer)
    os.waitpid(raylet, 0)
    with open(reader) as file:
        return file.read()


@pytest.mark.parametrize(("dies", "answer"), [(False, "the player was killed"), (True, "the node died")])
def test_a_player_that_ends_on_a_dying_node_is_not_to_blame(dies: bool, answer: str) -> None:
    assert on_a_node(EXITED, dies=dies).startswith(answer)


def test_whoever_raises_is_to_blame_in_any_case() -> None:
    raised = replace(EXITED, failure=replace(EXITED.failure, kind="ValueError", message="no"))
    assert on_a_node(raised, dies=True) == "no"


WORKLOAD = registry.find("smoke", "mnist_mlp")
SPOILT = "the node died"


def trials(count: int) -> list[Trial]:
    settings = Settings(suite="smoke", studies=count, data=Path("x"), results=Path("y"))
    return list(plan(settings, [WORKLOAD], [resolve("nadamw")], {WORKLOAD.name: 0.01}, (), "here"))


def made(trial: Trial) -> Record:
    return record(trial.submission.name, trial.workload, study=trial.study)


class Pretended:
    """Runs trials in no time, one at each look, the first given first; `end` gives what comes of one."""

    def __init__(self, end: Callable[[Trial], Record | Interrupted] = made, devices: int = 1) -> None:
        self._end = end
        self.devices = devices
        self.given: list[Trial] = []
        self.waiting: list[Trial] = []
        self.longest = 0
        self.stranded: list[list[Trial]] = []
        self.looks = False

    def __len__(self) -> int:
        return len(self.waiting)

    def submit(self, trial: Trial) -> None:
        self.given.append(trial)
        self.waiting.append(trial)
        self.longest = max(self.longest, len(self.waiting))

    def ended(self) -> Iterator[Record | Interrupted]:
        if self.waiting:
            yield self._end(self.waiting.pop(0))

    def refresh(self) -> bool:
        return self.looks

    def running(self) -> Collection[RunningTrial]:
        return [
            RunningTrial(trial=t.id, node="n", device="core 0", since=0.0) for t in self.waiting[: self.devices]
        ]

    def node_of(self, trial: Trial) -> str | None:
        return f"node{trial.study}"

    def withdraw_stranded(self) -> Sequence[Trial]:
        gone = self.stranded.pop() if self.stranded else []
        self.waiting = [trial for trial in self.waiting if trial not in gone]
        return gone


def interrupted(times: int, *, passing: bool = True) -> Callable[[Trial], Record | Interrupted]:
    """The end of each trial: so often without a record, and then with one."""
    ended: list[Trial] = []

    def end(trial: Trial) -> Record | Interrupted:
        ended.append(trial)
        if ended.count(trial) <= times:
            return Interrupted(trial, SPOILT, passing)
        return made(trial)

    return end


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_trial_is_run_again_three_times(times: int) -> None:
    (wanted,) = trials(1)
    cluster, repeated = Pretended(interrupted(times)), []
    listener = ScheduleListener(repeated=lambda *told: repeated.append(told))
    (result,) = run_on(cluster, [wanted], listener=listener)
    assert result == made(wanted)
    assert cluster.given == [wanted] * (times + 1)
    assert repeated == [(wanted, SPOILT, "node0")] * times


def test_it_is_lost_after_the_third() -> None:
    first, second = trials(2)
    cluster = Pretended(lambda trial: interrupted(9)(trial) if trial == first else made(trial))
    results = list(run_on(cluster, [first, second]))
    assert results == [made(second), LostTrial(first, SPOILT)]
    assert cluster.given.count(first) == 4


def test_a_mistake_of_ours_is_not_run_again() -> None:
    (wanted,) = trials(1)
    cluster, repeated = Pretended(interrupted(1, passing=False)), []
    listener = ScheduleListener(repeated=lambda *told: repeated.append(told))
    assert list(run_on(cluster, [wanted], listener=listener)) == [LostTrial(wanted, SPOILT)]
    assert (cluster.given, repeated) == ([wanted], [])


def test_each_trial_has_its_own_retries() -> None:
    wanted = trials(3)
    cluster = Pretended(interrupted(3))
    assert sorted(r.study for r in run_on(cluster, wanted) if isinstance(r, Record)) == [0, 1, 2]
    assert len(cluster.given) == 12


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_as_many_wait_as_run(devices: int) -> None:
    cluster = Pretended(devices=devices)
    assert [r.study for r in run_on(cluster, trials(9))] == list(range(9))
    assert cluster.longest == 2 * devices


def test_a_plan_is_read_no_further_than_trials_are_given() -> None:
    wanted = trials(9)
    cluster = Pretended()
    results = run_on(cluster, wanted)
    next(results)
    assert cluster.given == wanted[:2]
    next(results)
    assert cluster.given == wanted[:3]


def test_the_rule_is_asked_when_a_trial_starts() -> None:
    seen: list[tuple[int, int]] = []
    done: list[Record] = []

    def rule(trial: Trial):
        seen.append((trial.study, len(done)))
        return NEVER

    for result in run_on(Pretended(), trials(4), rule):
        done.append(result)
    assert seen == [(0, 0), (1, 0), (2, 1), (3, 2)]


def test_trials_of_nodes_that_are_gone_move_and_their_retries_are_whole() -> None:
    (wanted,) = trials(1)
    cluster, repeated, running = Pretended(interrupted(3), devices=2), [], []
    cluster.looks, cluster.stranded = True, [[wanted]]
    listener = ScheduleListener(
        repeated=lambda *told: repeated.append(told), running=lambda now, devices: running.append((now, devices))
    )
    assert list(run_on(cluster, [wanted], listener=listener)) == [made(wanted)]
    assert [reason for _, reason, _ in repeated].count("the nodes that it could have run on are gone") == 1
    assert len(repeated) == 4
    assert {devices for _, devices in running} == {2}


def test_while_there_is_no_device_it_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, slept = Pretended(devices=0), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        cluster.devices = len(slept) // 3

    monkeypatch.setattr(schedule.time, "sleep", sleep)
    assert len(list(run_on(cluster, trials(1)))) == 1
    assert slept == [schedule.REFRESH_EVERY_S] * 3

"""What others take of a trial's cores is seen and comes off its clock, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.protocol.trial import Trial
from harness.system import machine, processes
from harness.system.machine import CoreTime, Device
from harness.system.processes import CoreUse, ProcessTree
from harness.trial import contention
from harness.trial.contention import CoreContention
from harness.trial.referee import run_trial
from scoring.records import RecordStore, from_json, to_json
from tests.cores import burning
from tests.scoring.build import record

CORE = machine.usable_cores()[0]
tells = pytest.mark.skipif(
    machine.core_time(CORE) is None or processes.own_wait_s() is None,
    reason="the system does not say what its cores do, or how long threads wait",
)


@dataclass
class Core:
    """What has gone on on a core so far; `worked` and `waited` are the player's."""

    busy: float = 100.0
    stolen: float = 1.0
    beside: float = 50.0
    worked: float = 7.0
    waited: float = 3.0

    def passes(
        self, busy: float = 0.0, stolen: float = 0.0, beside: float = 0.0, worked: float = 0.0, waited: float = 0.0
    ) -> None:
        """So much more."""
        self.busy += busy
        self.stolen += stolen
        self.beside += beside
        self.worked += worked
        self.waited += waited


@dataclass
class FakeMachine:
    """Cores with a player each, and the referee on the first one. `ticks` is what a core's time is counted in."""

    cores: list[Core]
    now: float = 1000.0
    referee_worked: float = 11.0
    referee_waited: float | None = 5.0
    ticks: float | None = None
    tells_waits: bool = True
    elsewhere: int = 0

    def core_time(self, number: int) -> CoreTime:
        core = self.cores[number]
        busy = core.busy if self.ticks is None else core.busy // self.ticks * self.ticks
        return CoreTime(busy_s=busy, stolen_s=core.stolen, beside_s=core.beside)

    def uses(self) -> list[CoreUse | None]:
        here = [CoreUse(worked_s=c.worked, waited_s=c.waited if self.tells_waits else None) for c in self.cores]
        return [*here, *[None] * self.elsewhere]

    def contention(self) -> CoreContention:
        devices = [Device(core=number) for number in range(len(self.cores))]
        return CoreContention(devices, self.uses, lambda: self.now)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return faked(monkeypatch, FakeMachine([Core()]))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return faked(monkeypatch, FakeMachine([Core(), Core(busy=70.0)]))


def faked(monkeypatch: pytest.MonkeyPatch, fake: FakeMachine) -> FakeMachine:
    monkeypatch.setattr(contention, "core_time", fake.core_time)
    monkeypatch.setattr(contention.time, "process_time", lambda: fake.referee_worked)
    monkeypatch.setattr(contention.processes, "own_wait_s", lambda: fake.referee_waited)
    return fake


def relief_of(fake: FakeMachine, wall: float, *stretch: dict[str, float]) -> float:
    """What comes off a stretch of so many seconds in which so much passed on each core."""
    measured = fake.contention()
    measured.clock_runs()
    fake.now += wall
    for core, passed in zip(fake.cores, stretch, strict=True):
        core.passes(**passed)
    relief_s = measured.relief_s()
    assert measured.clock_stands() == relief_s
    return relief_s


@pytest.mark.parametrize(
    ("passed", "relief_s"),
    [
        pytest.param({"busy": 10.0, "worked": 5.0, "waited": 5.0}, 5.0, id="a burner has half of the core"),
        pytest.param({"busy": 10.0, "worked": 0.0, "waited": 0.0}, 0.0, id="it sleeps beside a burner"),
        pytest.param({"busy": 10.0, "worked": 2.0, "waited": 1.5}, 1.5, id="it sleeps most of the time"),
        pytest.param({"busy": 10.0, "worked": 10.0, "waited": 30.0}, 0.0, id="four threads fight for the core"),
        pytest.param({"busy": 10.0, "worked": 5.0, "waited": 35.0}, 5.0, id="four threads beside a burner"),
        pytest.param({"busy": 3.0, "worked": 3.0, "waited": 0.0}, 0.0, id="it waits for a disk"),
        pytest.param({"busy": 8.0, "stolen": 2.0, "worked": 8.0}, 2.0, id="a hypervisor takes a fifth"),
        pytest.param({"busy": 8.0, "stolen": 2.0, "worked": 4.0, "waited": 4.0}, 6.0, id="and a burner a half"),
        pytest.param({"busy": 10.0, "worked": 10.0, "beside": 10.0}, 0.0, id="another hardware thread works"),
        pytest.param(
            {"busy": 10.0, "worked": 10.0, "beside": 10.0, "waited": 30.0}, 0.0, id="and it fights itself"
        ),
        pytest.param({"busy": 9.0, "worked": 9.5, "waited": 1.0}, 0.0, id="it has worked more than the core"),
        pytest.param(
            {"busy": 10.3, "worked": 6.0, "waited": 4.5}, 4.0, id="the core has worked more than the wall"
        ),
    ],
)
def test_what_comes_off_a_stretch_of_ten_seconds(passed: dict, relief_s: float, one: FakeMachine) -> None:
    assert relief_of(one, 10.0, passed) == pytest.approx(relief_s)


def test_the_referee_is_no_other_and_waiting_for_it_is_waiting(one: FakeMachine) -> None:
    """It worked for a second while the clock ran, and was kept from it for two by a burner: the player waited."""
    measured = one.contention()
    measured.clock_runs()
    one.now += 10.0
    one.referee_worked += 1.0
    one.referee_waited += 2.0
    one.cores[0].passes(busy=9.0, worked=5.0, waited=0.5)
    assert measured.clock_stands() == pytest.approx(2.5)
    assert measured.taken_s == pytest.approx(9.0 - 5.0 - 1.0)


def test_ticks_favour_nobody(one: FakeMachine) -> None:
    """The system counts a core's work in hundredths, and a stretch has 10.4 of them for others."""
    one.ticks = 0.01
    measured, total_s = one.contention(), 0.0
    for stretch in range(500):
        one.cores[0].passes(busy=0.0031 * (stretch % 7))  # what goes on between stretches
        measured.clock_runs()
        one.now += 0.4
        one.cores[0].passes(busy=0.4, worked=0.296, waited=0.104)
        total_s += measured.clock_stands()
    assert total_s == pytest.approx(500 * 0.104, rel=0.01)
    assert measured.taken_s == pytest.approx(500 * 0.104, rel=0.01)


def test_what_a_player_slept_through_is_not_kept_for_later(one: FakeMachine) -> None:
    """Others had the core while it slept; later it alone has it, and lets its threads wait for each other."""
    measured = one.contention()
    for passed in ({"busy": 10.0}, {"busy": 10.0, "worked": 9.0, "waited": 30.0}, {"busy": 10.0, "worked": 10.0}):
        measured.clock_runs()
        one.now += 10.0
        one.cores[0].passes(**passed)
        relief_s = measured.clock_stands()
    assert relief_s == 0.0
    measured.clock_runs()
    one.now += 10.0
    one.cores[0].passes(busy=9.0, worked=9.0, waited=30.0)
    assert measured.clock_stands() <= 0.05 + 1e-9, "no more than ticks may hide"


def test_players_wait_for_the_one_that_waits_most(two: FakeMachine) -> None:
    """A burner on the second core: the first player sleeps until the second one is there."""
    held_up = {"busy": 10.0, "worked": 5.0, "waited": 5.0}
    assert relief_of(two, 10.0, {"busy": 5.0, "worked": 5.0}, held_up) == pytest.approx(5.0)


def test_the_clock_never_shows_less_than_a_player_worked(two: FakeMachine) -> None:
    """The second one works on while the first is held up."""
    held_up = {"busy": 10.0, "worked": 5.0, "waited": 5.0}
    assert relief_of(two, 10.0, held_up, {"busy": 9.0, "worked": 9.0}) == pytest.approx(1.0)


def test_stretches_are_summed_while_the_clock_runs(two: FakeMachine) -> None:
    """What each core worked for others on average, on its other hardware threads too."""
    measured = two.contention()
    assert measured.taken_s is None
    assert not measured.relieves
    measured.resume(2.0)
    for seconds in (1.0, 0.5):
        measured.clock_runs()
        two.now += 2.0
        two.cores[0].passes(busy=2.0, worked=2.0 - seconds)
        two.cores[1].passes(busy=2.0, worked=2.0, beside=seconds)
        measured.clock_stands()
        two.cores[0].passes(busy=7.0)  # the clock stands
    assert measured.taken_s == pytest.approx(2.0 + 1.0 + 0.5)
    assert measured.relieves


def test_a_stretch_that_has_not_begun_or_not_ended_counts_for_nothing(one: FakeMachine) -> None:
    measured = one.contention()
    assert (measured.relief_s(), measured.clock_stands()) == (0.0, 0.0)
    measured.clock_runs()
    one.now += 10.0
    one.cores[0].passes(busy=10.0, worked=5.0, waited=5.0)
    measured.clock_runs()
    assert (measured.relief_s(), measured.clock_stands(), measured.clock_stands()) == (0.0, 0.0, 0.0)
    assert measured.taken_s == 0.0


@pytest.mark.parametrize("change", [{"tells_waits": False}, {"referee_waited": None}, {"elsewhere": 1}])
def test_where_the_system_does_not_tell_the_clock_is_the_walls(change: dict, two: FakeMachine) -> None:
    """What others took is known all the same; a player on another machine is not measured."""
    vars(two).update(change)
    held_up = {"busy": 10.0, "worked": 5.0, "waited": 5.0}
    measured = two.contention()
    measured.clock_runs()
    two.now += 10.0
    for core in two.cores:
        core.passes(**held_up)
    assert (measured.relief_s(), measured.clock_stands()) == (0.0, 0.0)
    assert not measured.relieves
    assert measured.taken_s == pytest.approx(5.0)


def test_a_gpu_or_any_core_tells_nothing() -> None:
    for place in (Device(gpu="GPU-1"), Device()):
        seen = CoreContention([place], lambda: [CoreUse(worked_s=0.0, waited_s=0.0)])
        seen.clock_runs()
        assert (seen.relief_s(), seen.clock_stands()) == (0.0, 0.0)
        assert seen.taken_s is None
        assert not seen.relieves


# ---- What the system tells, of programs that stand for players.

BUSY = "while True: pass"
SLEEPS = "import time; time.sleep(60)"
FIGHTS = """
import hashlib, threading
def work():
    while True: hashlib.sha256(bytes(10**6))  # in C, so that other threads go on
for _ in range(4): threading.Thread(target=work).start()
"""
FORKS = """
import os
while True:
    if os.fork() == 0: sum(range(10**5)); os._exit(0)
    os.wait()
"""


@contextmanager
def playing(code: str) -> Iterator[ProcessTree]:
    """A program on the core, in a session of its own."""
    pinned = f"import os; os.sched_setaffinity(0, {{{CORE}}}); print(flush=True)\n{code}"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", pinned], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield ProcessTree(process.pid)
        finally:
            ProcessTree(process.pid).kill()


def measured_beside(code: str, seconds: float) -> tuple[float, float, CoreUse]:
    """Of a program beside another one on its core: the wall's time, what came off, and what it had of the core."""
    with burning(CORE), playing(code) as tree:
        measured = CoreContention([Device(core=CORE)], lambda: [tree.core_use()])
        before, began = tree.core_use(), time.perf_counter()
        measured.clock_runs()
        time.sleep(seconds)
        relief_s = measured.clock_stands()
        wall_s, after = time.perf_counter() - began, tree.core_use()
    assert measured.relieves
    worked_s, waited_s = after.worked_s - before.worked_s, after.waited_s - before.waited_s
    return wall_s, relief_s, CoreUse(worked_s=worked_s, waited_s=waited_s)


@tells
@pytest.mark.parametrize("code", [BUSY, FIGHTS], ids=["one thread", "four threads"])
def test_a_program_that_works_is_relieved_of_another_one(code: str) -> None:
    """And of nothing but it: what is left is what it worked, however many threads it waits with."""
    wall_s, relief_s, use = measured_beside(code, 0.6)
    assert relief_s > 0.2 * wall_s
    assert wall_s - relief_s >= use.worked_s - 0.02
    assert wall_s - relief_s == pytest.approx(use.worked_s, abs=0.15 * wall_s)


@tells
def test_what_ended_children_worked_is_not_worked_for_others() -> None:
    """How long they waited is not known any more, and does not come off."""
    wall_s, relief_s, use = measured_beside(FORKS, 0.6)
    assert use.worked_s > 0.2 * wall_s
    assert wall_s - relief_s >= use.worked_s - 0.02


@tells
def test_a_program_that_sleeps_gains_nothing() -> None:
    wall_s, relief_s, use = measured_beside(SLEEPS, 0.4)
    assert relief_s < 0.1 * wall_s
    assert use.worked_s < 0.05


@tells
def test_waits_of_threads_that_ended_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's number may be another's later."""
    waits: list[dict[int, int]] = [{1: 10, 2: 5}, {1: 12}, {1: 12, 2: 3}, {2: 4, 3: 6}]
    tree = ProcessTree(1)
    monkeypatch.setattr(tree, "_all", lambda: iter([1]))
    seen = []
    for each in waits:
        monkeypatch.setattr(processes, "_waits_ns", lambda pid, each=each: iter(each.items()))
        seen.append(round(tree.core_use().waited_s * 1e9))
    assert seen == [15, 17, 20, 27]


def test_what_a_core_did_is_told_by_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """User, nice, system, interrupts of both kinds; not idle, not waiting for a disk. Stolen time is another's."""
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 100 20 3 7000 8000 400 50 6 0 0\n"
        "cpu1 1000 0 0 7000 0 0 0 1 0 0\n"
        "cpu10 1 1 1 1 1 1 1 1 0 0\n"
        "intr 5\n"
    )
    monkeypatch.setattr(machine, "Path", lambda name: stat if name == "/proc/stat" else Path(name))
    monkeypatch.setattr(machine, "_threads", lambda cpu: frozenset({0, 1}) if cpu < 2 else frozenset({cpu}))
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    assert machine.core_time(0) == CoreTime(busy_s=5.73, stolen_s=0.06, beside_s=10.01)
    assert machine.core_time(10) == CoreTime(busy_s=0.05, stolen_s=0.01)
    assert machine.core_time(2) is None


# ---- Trials.


@tells
@pytest.mark.usefixtures("own_core")
def test_a_trial_beside_another_process_says_so(order: Trial) -> None:
    with machine.exclusive_devices(1) as (place,):
        assert place.core is not None
        with burning(place.core):
            shared = run_trial(replace(order, ending=replace(order.ending, every=50, last=200)), [place])
    assert shared.contention_share > 0.2
    assert 0.0 < shared.waited_s <= shared.contention_s + 0.1
    assert shared.waited_s == pytest.approx(sum(s for account, s in shared.ledger if account == "others"))
    assert from_json(to_json(shared)) == shared


def test_it_is_read_back_in_brief_and_left_out_where_unknown(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, "smoke")
    known, unknown = record(study=0, contention_s=0.25, waited_s=0.0), record(study=1)
    store.extend([known, unknown])
    read = [each.record for each in store.scan([])]
    assert [(each.contention_s, each.waited_s) for each in read] == [(0.25, 0.0), (None, None)]
    assert "contention_s" in to_json(known)
    assert '"waited_s":0.0' in to_json(known)
    assert "contention_s" not in to_json(unknown)
    assert "waited_s" not in to_json(unknown)

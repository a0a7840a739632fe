"""Trials over several machines, whose remote hosts are processes of this one: all but the network is the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Client, Connection
from pathlib import Path

import pytest

from harness.cluster.nodes import side_by_side
from harness.player.commands import Command, UnknownCommand
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system.machine import Device
from harness.trial import remote_host
from harness.trial.checkpoint_store import FILES, CheckpointStore
from harness.trial.player_handle import MeasurementInvalid
from harness.trial.player_process import PlayerProcess, fork
from harness.trial.referee import run_trial
from harness.trial.remote_player import RemoteSlots, Spoilt
from pacer.errors import UsageError
from scoring.records import Outcome, Record
from scoring.records.layout import Layout
from submissions.registry import SubmissionRef, resolve
from tests.faults.probe import probe
from tests.harness.test_checkpoints import Interrupted, course

pytestmark = pytest.mark.xdist_group("remote")  # they share a machine that takes seconds to start

HOST = "127.0.0.1"
_CONTEXT = multiprocessing.get_context("forkserver")


class Process:
    """A machine in a process of its own, which hosts a player of one trial after the other."""

    def __init__(self) -> None:
        self._ours, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_be_remote_host, args=(theirs,))
        fork(self.process)
        theirs.close()

    def open(self, trial: Trial, rank: int, host: str) -> Connection:
        self._ours.send((trial, rank, host))
        address, key = self._ours.recv()
        return Client(address, authkey=key)

    def end(self) -> None:
        """Has it come to its end by itself, as it does once nobody is there to ask it for anything."""
        self._ours.close()
        self.process.join(10)
        assert self.process.exitcode is not None


def _be_remote_host(connection: Connection) -> None:
    with suppress(EOFError):
        while True:
            trial, rank, host = connection.recv()
            listener = remote_host.RefereeListener(HOST)
            connection.send((listener.address, listener.key))
            remote_host.serve(listener.accept(), trial, rank, host, Device())


@pytest.fixture(scope="module")
def other() -> Iterator[Process]:
    """A machine for many trials: its first one takes seconds, in which it imports torch."""
    made = Process()
    yield made
    made.end()


@pytest.fixture
def run(other: Process) -> Callable[..., Record]:
    """Runs a trial on two machines with a device each."""

    def run(order: Trial, checkpoint_store: CheckpointStore = FILES) -> Record:
        layout = Layout(devices=2, machines=2)
        remote_slots = RemoteSlots(host=HOST, kept=[other])
        return run_trial(
            replace(order, layout=layout), checkpoint_store=checkpoint_store, remote_slots=remote_slots
        )

    return run


@pytest.fixture
def short(order: Trial) -> Trial:
    return replace(order, ending=EverySteps(every=4, last=12, budget_s=300.0, stop_at_target=False))


def of_source(text: str) -> SubmissionRef:
    return SubmissionRef(name="probe", text=text, filename="probe.py")


@pytest.mark.parametrize(
    "workload",
    ["mnist_resnet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mnist_mlp", "molecules_gnn"))],
)
def test_two_machines_are_one_with_two_devices_bit_for_bit(workload: str, short: Trial, run: Callable) -> None:
    order = replace(short, workload=workload)
    here = run_trial(replace(order, layout=Layout(devices=2)))
    apart = run(order)
    assert apart.outcome is Outcome.COMPLETE, apart.failure
    assert course(apart) == course(here)
    assert (apart.devices, apart.machines, apart.layout) == (2, 2, Layout(devices=2, machines=2))
    assert apart.fingerprint != here.fingerprint
    assert "network" not in apart.guards
    assert set(apart.guards) == set(here.guards) - {"network"}


def test_the_clock_decides_when_to_end(order: Trial, run: Callable) -> None:
    record = run(replace(order, ending=EverySteps(every=10, budget_s=1.5, period_s=0.3, stop_at_target=False)))
    assert record.outcome is Outcome.BUDGET
    assert len(record.evaluations) >= 3
    booked = sum(seconds for _, seconds in record.ledger)
    assert booked == pytest.approx(record.wall_s, rel=0.01, abs=0.05)


def test_it_goes_on_from_a_checkpoint_bit_for_bit(short: Trial, run: Callable, tmp_path: Path) -> None:
    """By a submission that trains on other weights than are judged."""
    order = replace(short, submission=resolve("schedule_free_adamw"))
    whole = run(order)
    order = replace(order, checkpoint=tmp_path / "trial.checkpoint", checkpoint_every_s=0.0)

    class Stopping:
        def read(self, path: Path) -> bytes | None:
            return FILES.read(path)

        def write(self, path: Path, data: bytes) -> None:
            FILES.write(path, data)
            raise Interrupted

    with pytest.raises(Interrupted):
        run(order, Stopping())
    resumed = run(order)
    assert (resumed.resumed, resumed.outcome) == (1, Outcome.COMPLETE), resumed.failure
    assert course(resumed) == course(whole)


RANK = "from submissions import ranks\nimport os, time"


@pytest.mark.parametrize(
    ("does", "outcome", "message"),
    [
        ("raise ValueError('no')", Outcome.ERROR, "rank 1 of 2: no"),
        ("os._exit(3)", Outcome.ERROR, "rank 1 of 2: the player exited with code 3"),
        ("time.sleep(1000)", Outcome.BUDGET, "rank 1 of 2 did not come back from update"),
    ],
)
def test_what_one_far_away_does_is_its_own(
    does: str, outcome: Outcome, message: str, short: Trial, run: Callable
) -> None:
    text = probe(RANK, update=f"if ranks.rank() == 1: {does}\nreturn super().update(training, batch)")
    record = run(replace(short, submission=of_source(text), ending=replace(short.ending, budget_s=1.0)))
    assert (record.outcome, record.failure.message.startswith(message)) == (outcome, True), record.failure


def test_weights_that_drift_apart_are_noticed(short: Trial, run: Callable) -> None:
    drift = "next(training.model.parameters()).data += ranks.rank()"
    text = probe(RANK, update=f"loss = super().update(training, batch)\n{drift}\nreturn loss")
    record = run(replace(short, submission=of_source(text)))
    assert (record.outcome, record.failure.kind) == (Outcome.ERROR, "RanksDiffer")


def test_a_machine_that_is_gone_is_nobodys_fault(short: Trial) -> None:
    far = Process()
    text = probe(RANK, update="time.sleep(0.01)\nreturn super().update(training, batch)")
    order = replace(short, submission=of_source(text), layout=Layout(devices=2, machines=2))
    order = replace(order, ending=replace(short.ending, last=10_000))

    class Killing:
        """Kills the remote host once there is a checkpoint, in the middle of training."""

        def read(self, path: Path) -> bytes | None:
            return None

        def write(self, path: Path, data: bytes) -> None:
            os.kill(far.process.pid, signal.SIGKILL)

    order = replace(order, checkpoint=Path("nowhere"), checkpoint_every_s=0.0)
    with pytest.raises(MeasurementInvalid, match="rank 1 of 2"):
        run_trial(order, checkpoint_store=Killing(), remote_slots=RemoteSlots(host=HOST, kept=[far]))
    far.end()


def test_what_another_machine_lacks_is_said_here(short: Trial, other: Process) -> None:
    class Elsewhere:
        """Keeps its data where nothing can be written."""

        def open(self, trial: Trial, rank: int, host: str) -> Connection:
            return other.open(replace(trial, data=Path("/proc/data")), rank, host)

    order = replace(short, layout=Layout(devices=2, machines=2))
    with pytest.raises(MeasurementInvalid, match="rank 1 of 2: dataset mnist: cannot write in /proc/data"):
        run_trial(order, remote_slots=RemoteSlots(host=HOST, kept=[Elsewhere()]))


def test_what_is_no_command_is_refused(short: Trial, other: Process) -> None:
    """By a player on this machine, and by the host of one on another."""
    with pytest.raises(UnknownCommand, match="Own is no command"):
        PlayerProcess._execute(object.__new__(PlayerProcess), Own())
    connection = other.open(replace(short, layout=Layout(devices=2, machines=2)), 1, HOST)
    with connection:
        connection.send(Own())
        assert connection.poll(60)
        assert connection.recv() == Spoilt("Own is no command that a player knows")


@dataclass(frozen=True)
class Own(Command[None]):
    """A command of nobody's."""


def test_strangers_do_not_come_in() -> None:
    listener = remote_host.RefereeListener(HOST)
    stranger = _CONTEXT.Process(target=_knock, args=(listener.address, b"wrong"))
    friend = _CONTEXT.Process(target=_knock, args=(listener.address, listener.key))
    fork(stranger)
    fork(friend)
    with listener.accept() as connection:
        assert connection.recv() == "hello"
    stranger.join(10)
    friend.join(10)
    assert (stranger.exitcode != 0, friend.exitcode) == (True, 0)


def _knock(address: tuple[str, int], key: bytes) -> None:
    with Client(address, authkey=key) as connection:
        connection.send("hello")


def test_devices_lie_evenly_on_machines() -> None:
    with pytest.raises(UsageError, match="type: DEVICES=4 MACHINES=2"):
        Layout(devices=3, machines=2)
    assert Layout(devices=6, machines=3).each == 2
    assert Layout(devices=6, machines=3, compiled=True).settings == ["DEVICES=6", "MACHINES=3", "COMPILE=1"]
    assert Layout().settings == []


@pytest.mark.parametrize(
    ("places", "machines", "trials"),
    [([2, 1], 1, 3), ([2, 1], 2, 1), ([1], 2, 0), ([], 1, 0), ([4, 1, 1], 2, 2), ([3, 3, 3], 2, 4), ([5], 1, 5)],
)
def test_how_many_trials_over_several_machines_run_at_once(places: list[int], machines: int, trials: int) -> None:
    assert side_by_side(places, machines) == trials

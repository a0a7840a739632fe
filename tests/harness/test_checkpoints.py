"""A trial that was interrupted goes on as if nothing had happened, or from the start if its file is torn."""

from __future__ import annotations

import itertools
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.player.commands import Command, Continue, RestoreState, SaveState, SendData, Thaw
from harness.protocol.trial import Trial
from harness.trial import checkpoints
from harness.trial.checkpoint_store import FILES
from harness.trial.checkpoints import Checkpoint
from harness.trial.clock import CLOCK_TOLERANCE
from harness.trial.player_process import PlayerProcess
from harness.trial.referee import run_trial
from scoring.records import Outcome, Record
from submissions.registry import SubmissionRef, known, resolve
from tests.faults.probe import STILL, probe
from workloads import registry

BY_NAME = ["torch.optim:LBFGS(lr=0.1)@constant", "schedulefree:SGDScheduleFree(lr=0.5)@constant"]
WORKLOADS = [workload.name for workload in registry.suite("smoke")]


class Interrupted(Exception):
    """The referee is gone."""


@pytest.fixture
def saving(order: Trial, tmp_path: Path) -> Trial:
    """A trial of twelve steps that is saved at each of its borders, every four steps."""
    path = tmp_path / "trial.checkpoint"
    ending = replace(order.ending, every=4, last=12)
    return replace(order, ending=ending, checkpoint=path, checkpoint_every_s=0.0)


def interrupted(order: Trial, after: int = 1) -> None:
    """Runs a trial until that many checkpoints are written."""

    class Stopping:
        left = after

        def read(self, path: Path) -> bytes | None:
            return FILES.read(path)

        def write(self, path: Path, data: bytes) -> None:
            FILES.write(path, data)
            self.left -= 1
            if not self.left:
                raise Interrupted

    with pytest.raises(Interrupted):
        run_trial(order, checkpoint_store=Stopping())


def to_the_end(order: Trial) -> tuple[Record, bytes]:
    """The record of a trial, and the first checkpoint that it wrote on its way, if any."""
    written = []

    class Keeping:
        def read(self, path: Path) -> bytes | None:
            return None

        def write(self, path: Path, data: bytes) -> None:
            written.append(bytes(data))

    record = run_trial(order, checkpoint_store=Keeping())
    return record, next(iter(written), b"")


def course(record: Record) -> list[tuple]:
    """All of a trial but its times."""
    return [(e.step, e.examples, e.value, e.train_loss, dict(e.extra_metrics)) for e in record.evaluations]


def check_neutral(order: Trial) -> None:
    whole = run_trial(replace(order, checkpoint=None))
    if whole.outcome is Outcome.UNSUITABLE:
        return
    assert whole.outcome is Outcome.COMPLETE, whole.failure
    interrupted(order)
    resumed = run_trial(order)
    assert (resumed.resumed, resumed.outcome) == (1, Outcome.COMPLETE), resumed.failure
    assert course(resumed) == course(whole)


@pytest.mark.parametrize("name", [*known(), *BY_NAME])
def test_every_submission_goes_on_bit_for_bit(name: str, saving: Trial) -> None:
    """From its first checkpoint, as a trial did that went on after it. (That saving changes nothing, see below.)"""
    order = replace(saving, workload="satellite_vit", submission=resolve(name))
    whole, first = to_the_end(order)
    if whole.outcome is Outcome.UNSUITABLE:
        return
    assert (whole.resumed, whole.outcome) == (0, Outcome.COMPLETE), whole.failure
    saving.checkpoint.write_bytes(first)
    resumed = run_trial(order)
    assert (resumed.resumed, resumed.outcome) == (1, Outcome.COMPLETE), resumed.failure
    assert course(resumed) == course(whole)


@pytest.mark.parametrize(
    "name", ["nadamw", *(pytest.param(name, marks=pytest.mark.slow) for name in ("schedule_free_adamw", "ema"))]
)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_workload_goes_on_bit_for_bit(workload: str, name: str, saving: Trial) -> None:
    check_neutral(replace(saving, workload=workload, submission=resolve(name)))


def test_the_data_order_goes_on_beyond_the_end_of_an_epoch(saving: Trial) -> None:
    """Two batches an epoch: given up after two of six epochs, a trial draws the others alike."""
    text = probe(select="return batches.next(2000)")
    assert registry.find("smoke", saving.workload).train_examples == 5000
    check_neutral(replace(saving, submission=SubmissionRef(name="probe", text=text, filename="probe.py")))


@pytest.mark.soak
@pytest.mark.parametrize("workload", [workload.name for workload in registry.suite("mini")])
@pytest.mark.parametrize("name", known())
def test_every_pair_of_the_mini_suite_goes_on_bit_for_bit(name: str, workload: str, saving: Trial) -> None:
    order = replace(saving, suite="mini", workload=workload, submission=resolve(name))
    check_neutral(replace(order, ending=replace(order.ending, budget_s=1000.0)))


@pytest.mark.parametrize("ruleset", ["self", "external"])
def test_the_clock_goes_on_from_where_it_stood(ruleset: str, saving: Trial) -> None:
    order = replace(saving, ruleset=ruleset, study=1, trial=2)
    interrupted(order, after=2)
    record = run_trial(order)
    booked = sum(seconds for _, seconds in record.ledger)
    assert booked == pytest.approx(record.wall_s, rel=CLOCK_TOLERANCE, abs=0.05)
    assert record.submission_s == pytest.approx(record.evaluations[-1].time_s, rel=1e-6)
    assert [account for account, _ in record.ledger].count("setup") == 1
    assert record.hp == run_trial(replace(order, checkpoint=None)).hp


@pytest.mark.parametrize("kind", [SendData, Continue, SaveState, RestoreState, Thaw])
def test_a_referee_that_is_kept_from_running_gives_no_time_away(
    kind: type[Command[Any]], saving: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a crowded core a process loses its turn just when it has given another one something to do."""
    send = PlayerProcess.send
    late: list[Command[Any]] = []

    def send_and_lose_turn(player: PlayerProcess, command: Command[Any]) -> object:
        answer = send(player, command)
        if isinstance(command, kind):
            late.append(command)
            time.sleep(0.2)
        return answer

    monkeypatch.setattr(PlayerProcess, "send", send_and_lose_turn)
    text = probe(top="import time", update="time.sleep(0.01)\n" + STILL)
    order = replace(saving, submission=SubmissionRef(name="probe", text=text, filename="probe.py"))
    interrupted(order)
    record = run_trial(order)
    assert (record.outcome, record.resumed) == (Outcome.COMPLETE, 1), record.failure
    assert late
    times = [e.time_s for e in record.evaluations]
    steps = [e.step for e in record.evaluations]
    assert steps == [4, 8, 12]
    assert all(later - earlier >= 4 * 0.01 for earlier, later in itertools.pairwise([0.0, *times]))


def test_what_took_long_to_save_is_on_the_clock(saving: Trial) -> None:
    text = (
        resolve("sgd").text
        + """
    def state_dict(self, training):
        import time
        time.sleep(0.5)
        return super().state_dict(training)
"""
    )
    slow = run_trial(replace(saving, submission=replace(resolve("sgd"), text=text)))
    assert slow.outcome is Outcome.COMPLETE
    # Once for the size of the state, and once for each of two checkpoints, less what copying may take.
    assert slow.submission_s > 1.3


@pytest.mark.parametrize("damage", ["torn", "changed", "of another trial", "empty"])
def test_a_checkpoint_that_is_not_whole_counts_for_nothing(damage: str, saving: Trial) -> None:
    interrupted(saving)
    path = saving.checkpoint
    data = path.read_bytes()
    order = saving
    if damage == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        path.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    elif damage == "of another trial":
        order = replace(saving, study=5)
    else:
        path.write_bytes(b"")
    record = run_trial(order)
    assert (record.resumed, record.outcome) == (0, Outcome.COMPLETE)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    flag = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (flag,)

    path = tmp_path / "evil.checkpoint"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "frombuffer", lambda *_, **__: Evil())
        checkpoints.save(path, "mine", Checkpoint(facts={}, weights=[torch.zeros(1)], players=[b"x"]))
    assert checkpoints.load(path, "mine") is None
    assert not flag.exists()


def test_the_last_room_on_a_disk_is_left_to_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.checkpoint"
    state = Checkpoint(facts={}, weights=[torch.ones(2**20)], players=[b"one"])
    usage = shutil.disk_usage(tmp_path)._replace(free=19 * 2**20)  # 4 MiB of weights would leave less than 16
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, "mine", state)
    assert not list(tmp_path.iterdir())
    checkpoints.save(path, "mine", replace(state, weights=[torch.ones(2)]))
    assert checkpoints.load(path, "mine") is not None


def test_writing_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.checkpoint"
    checkpoints.save(path, "mine", Checkpoint(facts={"at": 1}, weights=[torch.ones(3)], players=[b"one"]))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, "mine", Checkpoint(facts={"at": 2}, weights=[torch.ones(3)], players=[b"two"]))
    assert list(tmp_path.iterdir()) == [path]
    kept = checkpoints.load(path, "mine")
    assert kept is not None
    assert (kept.facts, kept.players) == ({"at": 1}, [b"one"])
    assert torch.equal(kept.weights[0], torch.ones(3))

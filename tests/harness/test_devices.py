"""Trials over several devices: they follow those on one, stop together, and are judged like them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.player.weights import Weights
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system import machine
from harness.system.machine import Device
from harness.system.processes import ProcessTree
from harness.trial.evaluator import Evaluator, initial_model
from harness.trial.evaluator_pool import EvaluatorPool
from harness.trial.referee import run_trial
from pacer.errors import UsageError
from scoring.records import Outcome, Record, RecordStore, from_json, to_json
from scoring.records.layout import SINGLE, Layout
from submissions.parts.batch_norm import norms
from submissions.registry import SubmissionRef, known, resolve
from tests.faults.probe import probe
from tests.folders import ROOT
from tests.harness.test_checkpoints import check_neutral
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import evaluate

TWO = Layout(devices=2)
CPU = torch.device("cpu")
TOLERANCE = 1e-4
"""Relative difference of losses after some steps that the order of float32 additions explains."""

SMOKE = registry.suite("smoke")
QUICK = ("mnist_mlp", "mnist_resnet", "molecules_gnn", "speech_lstm")
"""Of the smoke suite: plain, with BatchNorm, with graphs, and with lengths."""
MARKED = [pytest.param(workload, marks=() if workload.name in QUICK else pytest.mark.slow) for workload in SMOKE]
MARKED += [pytest.param(workload, marks=pytest.mark.soak) for workload in registry.suite("mini")]

Run = Callable[..., Record]

GHOST = """
whole = batches.next(training.workload.batch_size)
self.parts = [batches.take(whole.index.numpy()[rank::2]) for rank in range(2)]
return whole
"""
TWICE = """
terms = [training.loss_function(training.model(*part.inputs), part) for part in self.parts]
loss = sum(t.summed.sum() for t in terms) / sum(t.units.sum() for t in terms)
training.optimizer.zero_grad()
loss.backward()
training.optimizer.step()
return loss.detach()
"""


def of_source(text: str) -> SubmissionRef:
    return SubmissionRef(name="probe", text=text, filename="probe.py")


def losses(record: Record) -> list[float]:
    assert record.outcome is Outcome.COMPLETE, record.failure
    return [evaluation.train_loss for evaluation in record.evaluations]


@pytest.fixture
def short(order: Trial) -> Trial:
    """A trial of SGD over eight steps, evaluated after four and eight."""
    return replace(
        order,
        submission=of_source(probe()),
        ending=EverySteps(every=4, last=8, budget_s=300.0, stop_at_target=False),
    )


@pytest.fixture
def run_both(short: Trial) -> Callable[..., tuple[Record, Record]]:
    """Runs a submission given as the text of its file on one device and on two."""

    def run(text: str, **changes: object) -> tuple[Record, Record]:
        order = replace(short, submission=of_source(text), **changes)
        return run_trial(order), run_trial(replace(order, layout=TWO))

    return run


@pytest.mark.parametrize("workload", MARKED, ids=lambda workload: f"{workload.suite}-{workload.name}")
def test_two_ranks_follow_one(workload: Workload, short: Trial) -> None:
    """With BatchNorm, whose statistics are a device's own, the one device has the batch in the same two parts."""
    short = replace(short, suite=workload.suite, workload=workload.name)
    split = bool(norms(workload.model()))
    alone = replace(short, submission=of_source(probe(select=GHOST, update=TWICE))) if split else short
    one, two = run_trial(alone), run_trial(replace(short, layout=TWO))
    assert losses(two) == pytest.approx(losses(one), rel=TOLERANCE)
    if not split:
        assert [e.examples for e in two.evaluations] == [e.examples for e in one.evaluations]
        values = [e.value for e in one.evaluations]
        assert [e.value for e in two.evaluations] == pytest.approx(values, rel=0.02)
    assert (one.devices, two.devices) == (1, 2)
    assert two.guards == one.guards


KINDS = {
    "gradients of gradients": """
loss = training.loss(batch)
parameters = list(training.model.parameters())
gradients = torch.autograd.grad(loss, parameters, create_graph=True)
penalty = sum(gradient.square().sum() for gradient in gradients)
training.optimizer.zero_grad()
(loss + 0.1 * penalty).backward()
training.optimizer.step()
return penalty.detach()
""",
    "several backward passes into one gradient": """
training.optimizer.zero_grad()
for _ in range(3):
    (training.loss(batch) / 3).backward()
training.optimizer.step()
return training.loss(batch).detach()
""",
    "a penalty on the weights": """
training.optimizer.zero_grad()
loss = training.loss(batch) + 0.01 * sum(p.square().sum() for p in training.model.parameters())
loss.backward()
training.optimizer.step()
return loss.detach()
""",
    "the loss function called by itself": """
training.optimizer.zero_grad()
loss = training.loss_function(training.model(*batch.inputs), batch).mean()
loss.backward()
training.optimizer.step()
return loss.detach()
""",
    "numbers drawn at random": """
loss = training.closure(batch)()
with torch.no_grad():
    for p in training.model.parameters():
        p.sub_(p.grad + 0.01 * torch.randn_like(p))
return loss
""",
    "a rate by the time": """
loss = training.closure(batch)()
times = torch.tensor(training.elapsed_s)
from submissions import ranks
assert torch.equal(ranks.total(times), ranks.count() * times)
training.optimizer.step()
return loss
""",
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_done_with_gradients_is_the_same(kind: str, run_both: Callable) -> None:
    one, two = run_both(probe(update=KINDS[kind]), workload="flights_dlrm")
    assert losses(two) == pytest.approx(losses(one), rel=TOLERANCE)


@pytest.mark.parametrize(
    "name",
    [
        *("sam", "el2n", f"{ROOT}/tests/algoperf_style/clipped_adamw"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("adadagrad", "smb", "zo_sgd", "psgd_kron")),
        pytest.param(f"{ROOT}/tests/algoperf_style/averaged_nadam", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.soak) for name in known()),
    ],
)
def test_submissions_follow_themselves(name: str, short: Trial) -> None:
    """Those that divide by the size of single gradients, as most do, enlarge the rounding of the smallest ones."""
    order = replace(short, workload="satellite_vit", submission=resolve(name))
    order = replace(order, ending=replace(short.ending, every=6, last=12))
    one, two = run_trial(order), run_trial(replace(order, layout=TWO))
    assert losses(two) == pytest.approx(losses(one), rel=0.01)
    assert [e.examples for e in two.evaluations] == [e.examples for e in one.evaluations]


WHOLE = """
from submissions import ranks
rows = ranks.gathered(batch.index)
assert len(rows) == len(batch), (len(rows), len(batch))
assert torch.equal(rows[ranks.rank() :: ranks.count()], batch.index)
assert ranks.total(torch.ones(())) == ranks.count()
whole = training.loss(batch)
with ranks.apart():
    own = training.loss(batch)
assert ranks.count() == 1 or own != whole
terms = training.loss_function(training.model(*batch.inputs), batch)
mean = ranks.total(terms.summed.sum()) / ranks.total(terms.units.sum())
torch.testing.assert_close(mean, whole.detach())
training.model.zero_grad()
own.backward()
gradients = [ranks.mean(p.grad) for p in training.model.parameters()]
training.closure(batch)()
for p, gradient in zip(training.model.parameters(), gradients):
    torch.testing.assert_close(gradient, p.grad, atol=1e-6, rtol=1e-4)
training.optimizer.step()
return whole.detach()
"""


def test_a_submission_finds_the_whole_batch_and_its_own_gradients(run_both: Callable) -> None:
    one, two = run_both(probe(update=WHOLE))
    assert losses(two) == pytest.approx(losses(one), rel=TOLERANCE)


@pytest.mark.parametrize("size", [1, 5])
def test_batches_of_any_size_are_shared(size: int, run_both: Callable) -> None:
    one, two = run_both(probe(batch_size=f"return {size}"))
    assert losses(two) == pytest.approx(losses(one), rel=TOLERANCE)
    assert [e.examples for e in two.evaluations] == [4 * size, 8 * size]


def test_rows_that_are_taken_are_shared(run_both: Callable) -> None:
    take = "import numpy\nreturn batches.take(numpy.arange(training.step, training.step + 7))"
    check = "from submissions import ranks\nassert len(batch.index) < 7 or ranks.count() == 1\n"
    update = f"{check}\nassert len(batch) == 7\nreturn super().update(training, batch)"
    one, two = run_both(probe(select=take, update=update))
    assert losses(two) == pytest.approx(losses(one), rel=TOLERANCE)


BROKEN = {
    "raises": ("update", "ValueError", "if ranks.rank() == 1: raise ValueError('on purpose')"),
    "exits": ("update", "PlayerExit", "if ranks.rank() == 1: import os; os._exit(3)"),
    "is killed": ("update", "PlayerExit", "if ranks.rank() == 1: import os, signal; os.kill(os.getpid(), 9)"),
    "raises before evaluation": (
        "before_eval",
        "ValueError",
        "if ranks.rank() == 1: raise ValueError('on purpose')",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_rank_that_breaks_is_named(what: str, short: Trial) -> None:
    hook, kind, body = BROKEN[what]
    text = probe("from submissions import ranks", **{hook: f"{body}\nreturn super().{hook}({ARGUMENTS[hook]})"})
    record = run_trial(replace(short, submission=of_source(text), layout=TWO))
    assert record.outcome is Outcome.ERROR
    assert (record.failure.hook, record.failure.kind) == (hook, kind)
    assert record.failure.message.startswith("rank 1 of 2: ")


ARGUMENTS = {"update": "training, batch", "before_eval": "training"}


@pytest.mark.parametrize("hook", ARGUMENTS)
def test_a_rank_that_hangs_is_named(hook: str, short: Trial) -> None:
    hang = f"if ranks.rank() == 1: import time; time.sleep(1000)\nreturn super().{hook}({ARGUMENTS[hook]})"
    text = probe("from submissions import ranks", **{hook: hang})
    record = run_trial(
        replace(short, submission=of_source(text), layout=TWO, ending=replace(short.ending, budget_s=0.5))
    )
    assert record.outcome is Outcome.BUDGET
    assert record.failure.message.startswith("rank 1 of 2 did not come back")


def test_ranks_that_drift_apart_are_told_how_not_to(short: Trial) -> None:
    apart = "from submissions import ranks\nwith ranks.apart(): return super().update(training, batch)"
    record = run_trial(replace(short, submission=of_source(probe(update=apart)), layout=TWO))
    assert (record.outcome, record.failure.kind) == (Outcome.ERROR, "RanksDiffer")
    together = """
for p in training.model.parameters():
    p.data.copy_(ranks.mean(p.data))
"""
    text = probe("from submissions import ranks", update=apart, before_eval=together)
    assert losses(run_trial(replace(short, submission=of_source(text), layout=TWO)))


def test_ranks_that_choose_other_rows_are_told_so(short: Trial) -> None:
    own = "import numpy\nfrom submissions import ranks\nreturn batches.take(numpy.arange(8) + ranks.rank())"
    record = run_trial(replace(short, submission=of_source(probe(select=own)), layout=TWO))
    assert (record.outcome, record.failure.kind) == (Outcome.ERROR, "ValueError")
    assert "took different rows" in record.failure.message


def test_the_slowest_rank_counts(short: Trial) -> None:
    slow = "if ranks.rank() == 1: import time; time.sleep(0.4)"
    text = probe("from submissions import ranks", before_eval=slow)
    record = run_trial(replace(short, submission=of_source(text), layout=TWO))
    assert record.evaluations[0].time_s > 0.4
    assert record.evaluations[1].time_s > 0.8


def test_the_clock_stops_all_ranks_after_one_step(short: Trial) -> None:
    timed = replace(short, ending=EverySteps(every=10**6, budget_s=1.0, period_s=0.2, stop_at_target=False))
    record = run_trial(replace(timed, layout=TWO))
    assert record.outcome is Outcome.BUDGET
    assert len(record.evaluations) == 1


@pytest.mark.parametrize("name", ["nadamw", pytest.param("ema", marks=pytest.mark.slow)])
@pytest.mark.parametrize("workload", ["satellite_vit", pytest.param("mnist_resnet", marks=pytest.mark.slow)])
def test_two_ranks_go_on_bit_for_bit(workload: str, name: str, short: Trial, tmp_path: Path) -> None:
    path = tmp_path / "trial.checkpoint"
    saving = replace(short, checkpoint=path, checkpoint_every_s=0.0, layout=TWO)
    saving = replace(saving, ending=replace(short.ending, last=12))
    check_neutral(replace(saving, workload=workload, submission=resolve(name)))


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("name", ["molecules_gnn", "speech_lstm", "mri_unet"])
def test_evaluation_in_parts_is_evaluation_bit_for_bit(name: str, parts: int, cache: Path) -> None:
    workload = replace(registry.find("smoke", name), eval_batch_size=20)
    folder = workload.dataset.prepare(cache)
    weights = Weights(initial_model(workload, 3), [CPU] * 2)
    assert weights.gather() is None
    with EvaluatorPool(registry.find("smoke", name), folder, weights.judged_buffer, [None] * (parts - 1)) as shared:
        shared.ready()
        for limit in (57, 11):
            arrays = open_split(folder, "validation", limit)
            whole = evaluate(registry.find("smoke", name), weights.judged, arrays, CPU)
            assert shared.evaluate(weights.judged, "validation", limit, arrays) == whole
    weights.close()


def test_statistics_are_averaged_for_the_judge_alone() -> None:
    weights = Weights(nn.BatchNorm1d(3), [CPU] * 2)
    models = weights._models
    models[0].running_mean.fill_(1.0)
    models[1].running_mean.fill_(4.0)
    models[1].num_batches_tracked.fill_(7)
    assert weights.gather() is None
    assert weights.judged.running_mean.tolist() == [2.5] * 3
    assert weights.judged.num_batches_tracked == 0
    assert models[1].running_mean.tolist() == [4.0] * 3
    models[1].weight.data[1] = 1 + 2**-23
    assert weights.gather() == "weight"
    weights.close()


def test_nothing_of_any_rank_runs_while_the_clock_is_paused(short: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    evaluated = Evaluator._evaluated

    def cpu_s() -> list[float]:
        players = [process for process in multiprocessing.active_children() if not process.daemon]
        return [ProcessTree(player.pid).cpu_s() for player in players]

    def slowly(*arguments: object) -> object:
        before = cpu_s()
        threading.Event().wait(0.1)
        seen.append((before, cpu_s()))
        return evaluated(*arguments)

    monkeypatch.setattr(Evaluator, "_evaluated", slowly)
    busy = """
import hashlib, threading
def work():
    while True: hashlib.sha256(bytes(10**6))
threading.Thread(target=work, daemon=True).start()
"""
    record = run_trial(replace(short, submission=of_source(probe(configure=busy)), layout=TWO))
    assert record.outcome is Outcome.COMPLETE, record.failure
    assert len(seen) == 2
    assert all(len(before) == 2 and before == after for before, after in seen)


def test_ranks_reach_each_other_and_nothing_else(short: Trial) -> None:
    reach = """
import socket
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
    with socket.socket() as client:
        client.connect(server.getsockname())
for address in (("10.0.0.1", 80), ("192.0.2.1", 80)):
    try:
        socket.socket().connect(address)
    except OSError as error:
        assert error.errno == 101, error  # no such network
    else:
        raise AssertionError("connected")
"""
    record = run_trial(replace(short, submission=of_source(probe(configure=reach)), layout=TWO))
    if "network" in record.guards:
        assert record.outcome is Outcome.COMPLETE, record.failure


def test_a_record_of_one_device_reads_as_ever(short: Trial) -> None:
    record = run_trial(short)
    assert "devices" not in to_json(record)
    two = replace(record, devices=2)
    assert from_json(to_json(two)) == two
    layouts = (SINGLE, TWO, Layout(devices=2, machines=2), Layout(devices=3))
    assert len({machine.hardware(layout).fingerprint for layout in layouts}) == 4


def test_who_needs_several_cores_is_not_passed_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: (0, 1, 2))
    monkeypatch.setattr(machine, "pin", lambda core: None)
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(UsageError, match="DEVICES=3"), machine.exclusive_devices(4):
        pass
    got: list[tuple[Device, ...]] = []
    done = threading.Event()

    def ask(count: int) -> None:
        with machine.exclusive_devices(count) as places:
            got.append(places)
            done.wait(10)

    with machine.exclusive_devices(2) as first:
        assert first == (Device(core=0), Device(core=1))
        threads = [threading.Thread(target=ask, args=(count,)) for count in (2, 1)]
        for thread in threads:
            thread.start()
            thread.join(0.5)
        assert not got  # the core that is free is the pair's already, though one alone could use it
    for _ in range(200):
        if len(got) == 2:
            break
        threading.Event().wait(0.05)
    done.set()
    for thread in threads:
        thread.join(10)
    assert sorted(place.core for places in got for place in places) == [0, 1, 2]
    assert max(got, key=len)[0].core == 2


@pytest.mark.slow
@pytest.mark.skipif(len(machine.usable_cores()) < 2, reason="a trial over two devices takes two cores")
def test_a_bench_and_a_trial_over_two_devices_have_a_board_of_their_own(tmp_path: Path, cache: Path) -> None:
    def harness(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        where = ["--suite", "smoke", "--results", str(tmp_path)]
        command = [sys.executable, "-m", "harness", verb, *where, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    data = ["--data", str(cache)]
    which = [*data, "--workloads", "mnist_mlp", "--submissions", "nadamw,adamw", "--studies", "1", "--no-mlflow"]
    done = harness("bench", *which, "--devices", "2")
    assert done.returncode == 0, done.stderr
    assert "on 1 x 2 x 1 CPU core" in done.stderr
    records, _ = RecordStore(tmp_path, "smoke").read()
    assert [record.devices for record in records] == [2, 2]
    assert (tmp_path / "smoke" / "board_DEVICES=2").is_dir()
    assert "0 to run" in harness("bench", *which, "--devices", "2").stderr
    one = [*data, "--workload", "mnist_mlp", "--submission", "adamw", "--devices", "2"]
    again = harness("trial", *one)
    assert again.returncode == 0, again.stderr
    assert from_json(again.stdout).key in {record.key for record in records}
    assert "no finished trials" in harness("leaderboard", "--no-mlflow").stderr
    many = harness("bench", *which, "--devices", "999")
    assert (many.returncode, "takes 999 devices" in many.stderr) == (2, True), many.stderr

"""GPUs as devices: all that can be seen without one, and, where there is one, trials on it."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.cluster.nodes import Node, NodeFacts
from harness.player import buffer, devices
from harness.player.buffer import SharedBuffer
from harness.protocol.trial import Trial
from harness.system import gpus, machine, sandbox
from harness.system.gpus import Gpu
from harness.system.machine import Device
from harness.trial.player_specs import player_specs
from harness.trial.referee import run_trial
from pacer.errors import UsageError
from scoring.records import Outcome
from scoring.records.layout import Layout
from tests.harness.test_checkpoints import check_neutral, course
from workloads import registry

FOUND = gpus.usable()
TWO = (Gpu("GPU-11aa22bb-0", "NVIDIA H100 80GB HBM3"), Gpu("GPU-33cc44dd-1", "NVIDIA H100 80GB HBM3"))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine whose tool lists two GPUs, and a torch that can use them."""
    tool = tmp_path / "nvidia-smi"
    lines = "\n".join(f"{gpu.uuid}, {gpu.name}" for gpu in TWO)
    tool.write_text(f"#!/bin/sh\n[ $# = 2 ] || exit 1\ncat <<'END'\n{lines}\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    monkeypatch.setattr(gpus, "version", lambda package: "2.13.0+cu130")
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    gpus.listed.cache_clear()
    yield
    gpus.listed.cache_clear()


@pytest.mark.parametrize(
    ("visible", "found"),
    [(None, TWO), ("", ()), ("1", TWO[1:]), ("1,0", TWO[::-1]), ("GPU-33cc", TWO[1:]), ("0,7,1", TWO[:1])],
)
def test_those_that_are_shown_may_be_used(
    visible: str | None, found: tuple[Gpu, ...], two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv(gpus.VISIBLE, visible)
    assert gpus.usable() == found
    assert machine.device_count() == (len(found) or len(machine.usable_cores()))


def test_a_torch_without_cuda_has_none(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "version", lambda package: "2.13.0+cpu")
    assert gpus.usable() == ()


def test_a_tool_that_finds_no_driver_has_none(two: None, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver; exit 9\n")
    assert gpus.usable() == ()


def test_gpus_are_hardware_of_their_own(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    one, both = machine.hardware(), machine.hardware(Layout(devices=2))
    assert one.device == "1 NVIDIA H100 80GB HBM3"
    assert both.device == "2 x 1 NVIDIA H100 80GB HBM3"
    monkeypatch.setenv(gpus.VISIBLE, "")
    assert len({one.fingerprint, both.fingerprint, machine.hardware().fingerprint}) == 3


def test_a_trial_has_gpus_of_its_own_and_sees_no_other(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="2 here, a GPU each; type: DEVICES=2"), machine.exclusive_devices(3):
        pass
    with machine.exclusive_devices(1) as (first,):
        assert first == Device(gpu=TWO[0].uuid)
        assert str(first) == "GPU 11aa22bb"
        assert gpus.usable() == TWO[:1]
        monkeypatch.delenv(gpus.VISIBLE)
        with machine.exclusive_devices(1) as (second,):
            assert second == Device(gpu=TWO[1].uuid)


def test_each_rank_has_a_gpu(order: Trial, tmp_path: Path) -> None:
    places = [Device(gpu=gpu.uuid) for gpu in TWO]
    trial = replace(order, layout=Layout(devices=2))
    workload = registry.find(order.suite, order.workload)
    told = player_specs(trial, workload, tmp_path, places, tmp_path, None)
    assert [(part.sandbox_spec.gpu, part.core) for part in told] == [(gpu.uuid, None) for gpu in TWO]


def test_a_player_sees_its_gpu_alone(tmp_path: Path) -> None:
    """Without a limit on the memory that it reserves, since CUDA reserves far more than it takes, and free to name
    its threads, without which CUDA does not start."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        sandbox.enter(sandbox.SandboxSpec(scratch=tmp_path, gpu=TWO[1].uuid))
        kept = resource.getrlimit(resource.RLIMIT_DATA) == (resource.RLIM_INFINITY,) * 2
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("named")
        Path("/proc/self/maps").read_text()
        os.write(writer, f"{os.environ[gpus.VISIBLE]} {kept}".encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with open(reader) as said:
        assert said.read() == f"{TWO[1].uuid} True"


@pytest.mark.parametrize(
    ("cpus", "has_gpus", "facts", "each", "counted"),
    [
        (64, 8, 8, 1, (8, 8)),
        (64, 8, 8, 4, (8, 2)),
        (4, 0, 2, 1, (2, 2)),
        (64, 4, 8, 1, (4, 4)),
        (64, 0, 32, 3, (32, 10)),
    ],
)
def test_a_node_has_as_many_places_as_it_has_gpus(
    cpus: int, has_gpus: int, facts: int, each: int, counted: tuple[int, int]
) -> None:
    node = Node(id="a", name="a", cpus=cpus, gpus=has_gpus, each=each)
    node.facts = NodeFacts(hardware=machine.hardware(), devices=facts)
    assert (node.devices, node.slots) == counted


def test_a_process_has_the_device_that_it_was_given() -> None:
    assert devices.of(None) == torch.device("cpu")
    assert devices.of(TWO[1].uuid) == torch.device("cuda:0"), "the only one that it sees"


def test_a_piece_of_memory_is_found_by_its_file() -> None:
    made = SharedBuffer.create(100)
    made.write(bytes(range(100)))
    there = buffer.attach(100, os.dup(made.descriptor))
    there[0] = 7
    assert made.read() == bytes([7, *range(1, 100)])
    made.close()


needs_gpu = pytest.mark.skipif(not FOUND, reason="there is no GPU here")


@needs_gpu
@pytest.mark.parametrize("workload", [workload.name for workload in registry.suite("smoke")])
def test_every_workload_trains_on_a_gpu(workload: str, order: Trial) -> None:
    with machine.exclusive_devices(1) as places:
        record = run_trial(
            replace(order, workload=workload, ending=replace(order.ending, every=10, last=20)), places
        )
    assert record.outcome is Outcome.COMPLETE, record.failure
    assert record.evaluations[-1].train_loss < record.evaluations[0].train_loss * 1.5
    assert FOUND[0].name in record.device


@needs_gpu
def test_a_gpu_follows_a_core(order: Trial) -> None:
    order = replace(order, ending=replace(order.ending, every=4, last=8))
    with machine.exclusive_devices(1) as places:
        there = run_trial(order, places)
    here = run_trial(order)
    for one, other in zip(course(there), course(here), strict=True):
        assert one[:2] == other[:2]
        assert one[3] == pytest.approx(other[3], rel=1e-3)


@needs_gpu
def test_a_trial_on_a_gpu_goes_on_bit_for_bit(order: Trial, tmp_path: Path) -> None:
    order = replace(order, ending=replace(order.ending, every=4, last=12))
    saving = replace(order, checkpoint=tmp_path / "c", checkpoint_every_s=0.0)
    with machine.exclusive_devices(1):
        check_neutral(saving)

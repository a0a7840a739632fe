"""Slow proofs on clusters of several nodes, each a raylet of its own on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.report import status
from harness.system import machine
from scoring.records import Outcome, Record, RecordStore
from tests.folders import ROOT
from tests.nodes import Nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("own_core"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

BENCH = [sys.executable, "-m", "harness", "bench", "--submissions", "nadamw,nesterov", "--no-mlflow"]
TWO = ("--suite", "smoke", "--workloads", "shakespeare_gpt,flights_dlrm")
ONE = ("--suite", "smoke", "--workloads", "flights_dlrm")
OTHER = "Other Processor"


STARTED: list[Bench] = []


@pytest.fixture(autouse=True)
def no_bench_is_left() -> Iterator[None]:
    """Ends those of a test that failed."""
    yield
    while STARTED:
        STARTED.pop().process.kill()


class Bench:
    """A bench that runs on a cluster."""

    def __init__(self, results: Path, address: str | None, *more: str) -> None:
        self.results = results
        STARTED.append(self)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {"RAY_ADDRESS": address} if address else {}
        command = [*BENCH, "--results", str(results), *more]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def until(self, seen: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not seen():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, f"not seen; {self.status()}"
            time.sleep(0.05)

    def status(self) -> status.Status | None:
        return next(iter(status.read(self.results)), None)

    def works_on(self, node: str) -> bool:
        """Whether a trial runs on a node."""
        now = self.status()
        return now is not None and any(device.node.startswith(f"{node}/") for device in now.running)

    def has_kept_work_on(self, node: str) -> bool:
        """Whether the trial that began last runs on a node and has a checkpoint; no other runs, on the one core."""
        now = self.status()
        if now is None or not now.running:
            return False
        last = max(now.running, key=lambda device: device.since)
        kept = self.results.glob("*/checkpoints/*.checkpoint")
        return last.node.startswith(f"{node}/") and any(written(path) > last.since for path in kept)

    def records(self) -> list[Record]:
        return RecordStore(self.results, "smoke").read()[0]

    def said(self) -> str:
        said = self.process.communicate(timeout=240)[1]
        assert self.process.returncode == 0, said
        return said


def written(path: Path) -> float:
    """When a file was written, by Unix time; long ago where it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """A cluster with one node of one device, the head."""
    with Nodes() as made:
        made.add("head")
        yield made


@pytest.mark.soak  # two minutes, as all nodes share a core
def test_nodes_come_and_go_and_the_results_are_those_of_one_node(tmp_path: Path, nodes: Nodes) -> None:
    """Two nodes at first; a third joins late, the second is killed at work, and its trial goes on elsewhere."""
    nodes.add("second")
    longer = ("--suite", "mini", "--workloads", "flights_dlrm", "--submissions", "nadamw")
    bench = Bench(tmp_path, nodes.address, *longer, "--studies", "18", "--checkpoint-s", "1")
    bench.until(lambda: bench.works_on("head") or bench.works_on("second"))
    nodes.add("third")
    bench.until(lambda: bench.works_on("third"))
    bench.until(lambda: bench.has_kept_work_on("second"))
    nodes.kill("second")
    said = bench.said()
    assert re.search(r"node third/\w+ joined, \d devices? now", said), said
    assert re.search(r"node second/\w+ is gone, \d devices? left", said), said
    assert re.search(r"run again: flights_dlrm  nadamw  study \d+ on second/", said), said
    ended = bench.status()
    assert (ended.state, ended.done, ended.total, ended.lost) == ("ended", 18, 18, 0)
    assert sum(ended.repeated.values()) >= 1
    records = RecordStore(tmp_path, "mini").read()[0]
    lines = (tmp_path / "mini" / "trials.jsonl").read_text().splitlines()
    assert len(lines) == len(records) == 18
    assert not any(record.failure for record in records), "who dies with a node is not to blame"
    assert any(record.resumed for record in records), "the trial that moved had a checkpoint"
    assert {record.code for record in records} == {machine.code_version()}, "nodes have no history of their own"
    assert not list(tmp_path.glob("mini/checkpoints/*"))
    # Every loss and metric, and so every crossing, is that of a run on one node from the same seeds.
    verify = [sys.executable, "-m", "harness", "verify", "--submission", "nadamw", "--count", "2", *longer[:4]]
    done = subprocess.run([*verify, "--results", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nadamw: 2 of 2 trials repeat" in done.stdout


@pytest.mark.long
def test_trials_lie_on_two_nodes_and_outlive_one(tmp_path: Path) -> None:
    """Two nodes with a device each; one is killed at work, and another comes in its place."""
    with Nodes() as nodes:
        nodes.add("head", apart=True)
        nodes.add("second", apart=True)
        over = ("--devices", "2", "--machines", "2")
        bench = Bench(tmp_path, nodes.address, *ONE, *over, "--studies", "1", "--checkpoint-s", "1")
        bench.until(lambda: len(bench.records()) >= 1 and (bench.works_on("head") or bench.works_on("second")))
        nodes.kill("second")
        nodes.add("third", apart=True)
        bench.said()
        records = bench.records()
        assert len(records) == 2
        assert {(r.devices, r.machines) for r in records} == {(2, 2)}
        assert {r.outcome for r in records} <= {Outcome.REACHED, Outcome.COMPLETE, Outcome.BUDGET}
        assert all("network" not in r.guards for r in records)
        assert (tmp_path / "smoke" / "board_DEVICES=2_MACHINES=2" / "board.md").exists()
        verify = [*BENCH[:3], "verify", *ONE, "--submission", "nadamw", "--results", str(tmp_path)]
        environment = os.environ | {"RAY_ADDRESS": nodes.address}
        done = subprocess.run([*verify, *over], cwd=ROOT, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nadamw: 1 of 1 trials repeat" in done.stdout
        wanted = Bench(tmp_path, nodes.address, *ONE, "--devices", "3", "--machines", "3")
        assert wanted.process.wait(timeout=120) == 2
        assert "type: MACHINES=2" in wanted.process.communicate()[1]


def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    """As they stand there, with another port, two nodes on one machine, and a bench of seconds."""
    section = (ROOT / "docs" / "cluster.md").read_text()
    lines = [line.split("  #")[0].strip() for line in section.split("```sh\n")[1].split("```")[0].splitlines()]
    small = f"SUITE=smoke WORKLOADS=shakespeare_gpt SUBMISSIONS=nadamw,nesterov STUDIES=1 RESULTS={tmp_path}"
    with Nodes() as nodes:
        said = ""
        for number, line in enumerate(lines):
            if line.startswith("export "):
                assert line == "export RAY_worker_niceness=0 RAY_AUTH_MODE=token"  # as Nodes does
                continue
            line = line.replace("HEAD:", "127.0.0.1:").replace("6379", str(nodes.port))
            line = line.replace("make ", "make -o .venv/.ready ")  # set up by whoever runs this
            if "ray start" in line:
                nodes.run(f"node{number}", f"{line} --num-cpus=1")
                continue
            command = f"{line} {small}" if " bench" in line else f"{line} RESULTS={tmp_path}"
            done = subprocess.run(command, cwd=ROOT, shell=True, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stdout + done.stderr
            said += done.stdout + done.stderr
    assert "2 trials" in said
    assert "on 2 x 1 CPU core" in said, "two nodes with a device each"
    assert "smoke: 2 of 2 trials" in said
    assert re.search(r"^ +\d+ .*\bnesterov\b", said, re.M)


def test_a_head_that_restarts_finds_the_bench_again(tmp_path: Path, nodes: Nodes) -> None:
    bench = Bench(tmp_path, nodes.address, *TWO, "--studies", "2")
    bench.until(lambda: len(bench.records()) >= 2)
    nodes.kill("head")
    finished = (tmp_path / "smoke" / "trials.jsonl").read_text().splitlines()
    with Nodes(nodes.port) as restarted:
        restarted.add("head")
        said = bench.said()
    assert f"the cluster at {nodes.address} is gone" in said
    goes_on = re.search(r"8 trials, (\d+) recorded already", said.split("is gone", 1)[1])
    assert int(goes_on[1]) >= len(finished)
    lines = (tmp_path / "smoke" / "trials.jsonl").read_text().splitlines()
    assert lines[: len(finished)] == finished
    assert len(lines) == 8


def can_mount() -> bool:
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets no ordinary user show a node another processor")
def test_other_hardware_is_left_out_named_and_has_its_own_board(tmp_path: Path, nodes: Nodes) -> None:
    """A node that sees another /proc/cpuinfo: its times would not compare."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: {OTHER}\n")
    nodes.add("other", before=f"mount --bind {cpuinfo} /proc/cpuinfo")
    results = tmp_path / "results"
    said = Bench(results, nodes.address, *ONE, "--studies", "1").said()
    assert f"is left out: it is 1 CPU core of {OTHER}" in said
    fingerprint = said.split("HARDWARE=")[1].split()[0]
    said = Bench(results, nodes.address, *ONE, "--studies", "1", "--hardware", fingerprint).said()
    assert f"is left out: it is {machine.hardware()}" in said
    records = RecordStore(results, "smoke").read()[0]
    assert sorted(OTHER in record.hardware for record in records) == [False] * 2 + [True] * 2
    show = [sys.executable, "-m", "harness", "leaderboard", "--suite", "smoke", "--results", str(results)]
    show += ["--no-mlflow", "--hardware"]
    for fingerprint, hardware in {(r.fingerprint, r.hardware) for r in records}:
        done = subprocess.run([*show, fingerprint], cwd=ROOT, capture_output=True, text=True, check=True)
        assert hardware in done.stdout
    unknown = Bench(results, nodes.address, *ONE, "--hardware", "0123")
    assert unknown.process.wait(timeout=60) == 2
    assert "no node has the hardware 0123; there are: " in unknown.process.communicate()[1]


def test_status_is_there_for_another_terminal(tmp_path: Path) -> None:
    show = [sys.executable, "-m", "harness", "status", "--results", str(tmp_path)]
    done = subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "no bench has run" in done.stdout
    bench = Bench(tmp_path, None, *TWO, "--studies", "2")
    bench.until(lambda: (now := bench.status()) is not None and now.running)
    running = json.loads(
        subprocess.run([*show, "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    bench.said()
    assert running[0]["state"] in ("running", "ended")
    assert running[0]["total"] == 8
    done = subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "smoke: 8 of 8 trials" in done.stdout
    assert "ended" in done.stdout

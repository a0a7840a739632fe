"""Faults injected into a running bench: the same command completes it, nothing is lost, nothing counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.machine import ROOT
from harness.records import Outcome, Record, RecordStore

pytestmark = pytest.mark.slow

WANTED = 2 * 2 * 2
BENCH = ["--suite", "smoke", "--workloads", "mnist_mlp,flights_dlrm", "--submissions", "nadamw,nesterov"]
BENCH += ["--studies", "2", "--no-mlflow"]


class Bench:
    """A bench in a process of its own."""

    def __init__(self, results: Path, *more: str, prefix: tuple[str, ...] = ()) -> None:
        self.results = results
        command = [*prefix, sys.executable, "-m", "harness", "bench", *BENCH, "--results", str(results), *more]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=_heed
        )

    def records(self) -> list[Record]:
        return RecordStore(self.results, "smoke").read()[0]

    def until(self, seen: Callable[[], object], seconds: float = 120) -> object:
        """Waits until something is seen, and returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := seen():
                return found
            time.sleep(0.02)
        raise AssertionError(f"not seen before the bench ended: {self.said() if self.process.poll() else ''}")

    def family(self, named: str) -> list[psutil.Process]:
        """The processes below it whose title or command has a word in it."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if named in process.name() or named in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def players(self) -> list[psutil.Process]:
        """Those that train: the children of the fork servers of the trials."""
        return [child for server in self.family("forkserver") for child in server.children()]

    def said(self) -> str:
        """All that it printed, once it has ended."""
        return self.process.communicate(timeout=240)[1]


def _heed() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def complete(results: Path, tally: Counter[str], said: str = "") -> list[Record]:
    """Runs the same command again and checks that each trial is there once; counts the fault."""
    again = Bench(results)
    said += again.said()
    assert again.process.returncode == 0, said
    lines = (results / "smoke" / "trials.jsonl").read_text().splitlines()
    keys = [record.key for record in again.records()]
    whole = sum(1 for line in lines if line.endswith("}"))
    tally["faults injected"] += 1
    tally["trials lost"] += WANTED - len(keys)
    tally["trials counted twice"] += whole - len(set(keys))
    assert len(keys) == WANTED
    assert whole == WANTED, "a trial is on disk twice"
    assert not list((results / "smoke").glob("checkpoints/*.checkpoint"))
    tally["survived"] += 1
    return again.records()


def finished(bench: Bench, count: int) -> Callable[[], bool]:
    return lambda: len(bench.records()) >= count


def test_a_worker_that_is_killed_is_replaced_and_its_trial_repeated(tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    bench.until(finished(bench, 1))
    (victim, *_) = bench.until(lambda: bench.family("ray::_run"))
    victim.kill()
    said = bench.said()
    assert bench.process.returncode == 0, said
    assert "run again: " in said
    records = complete(tmp_path, tally, said)
    assert all(record.outcome is not Outcome.ERROR for record in records)


def test_a_player_that_is_killed_ends_its_trial_by_name(tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    bench.until(finished(bench, 1))
    (victim, *_) = bench.until(bench.players)
    victim.kill()
    said = bench.said()
    assert "the player was killed by SIGKILL" in said
    records = complete(tmp_path, tally, said)
    assert sum(record.outcome is Outcome.ERROR for record in records) == 1


def test_without_its_raylet_a_bench_ends_and_goes_on(tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    bench.until(finished(bench, 1))
    (victim, *_) = bench.until(lambda: bench.family("raylet"))
    victim.kill()
    said = bench.said()
    assert bench.process.returncode != 0
    assert "Traceback" not in said
    complete(tmp_path, tally, said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals, tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    bench.until(finished(bench, 2))
    bench.process.send_signal(number)
    said = bench.said()
    assert bench.process.returncode == 128 + number
    assert "the same command goes on from here" in said
    complete(tmp_path, tally, said)


def test_a_machine_that_sleeps_counts_nothing_twice(tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    bench.until(finished(bench, 1))
    bench.until(bench.players)
    family = psutil.Process(bench.process.pid).children(recursive=True)
    for process in family:
        process.suspend()
    time.sleep(4.0)
    for process in family:
        process.resume()
    said = bench.said()
    assert bench.process.returncode == 0, said
    assert "stood still for" in said
    for record in complete(tmp_path, tally, said):
        booked = sum(seconds for _, seconds in record.ledger)
        assert booked == pytest.approx(record.wall_s, rel=0.01, abs=0.05)


def test_two_benches_share_a_folder(tmp_path: Path, tally: Counter[str]) -> None:
    """Each may run what the other runs as well; one record of each trial counts."""
    first, second = Bench(tmp_path), Bench(tmp_path)
    for bench in (first, second):
        said = bench.said()
        assert bench.process.returncode == 0, said
    keys = [record.key for record in first.records()]
    tally["faults injected"] += 1
    tally["trials lost"] += WANTED - len(keys)
    tally["trials counted twice"] += len(keys) - len(set(keys))
    assert len(keys) == len(set(keys)) == WANTED
    tally["survived"] += 1


def test_a_torn_line_is_named_and_its_trial_repeated(tmp_path: Path, tally: Counter[str]) -> None:
    bench = Bench(tmp_path)
    assert bench.process.wait(240) == 0, bench.said()
    path = tmp_path / "smoke" / "trials.jsonl"
    text = path.read_text()
    path.write_text(text[: -len(text.splitlines()[-1]) // 2])
    again = Bench(tmp_path)
    said = again.said()
    assert again.process.returncode == 0, said
    assert "is not a record and was left out" in said
    keys = [record.key for record in again.records()]
    tally["faults injected"] += 1
    tally["trials lost"] += WANTED - len(keys)
    assert len(keys) == len(set(keys)) == WANTED
    tally["survived"] += 1


def test_a_damaged_cache_is_noticed_and_made_anew(tmp_path: Path, cache: Path, tally: Counter[str]) -> None:
    """A copy of the real cache, damaged; the package index is there to make it from."""
    copy = tmp_path / "data"
    subprocess.run(["cp", "-r", str(cache / "flights-v1"), str(cache / "mnist-v1"), f"{copy}/"], check=False)
    copy.mkdir(exist_ok=True)
    for name in ("flights-v1", "mnist-v1"):
        subprocess.run(["cp", "-r", str(cache / name), str(copy)], check=True)
    victim = next((copy / "flights-v1" / "train").glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    bench = Bench(tmp_path / "results", "--data", str(copy))
    said = bench.said()
    assert bench.process.returncode == 0, said
    assert "flights in" in said
    assert "was damaged and is made anew" in said
    assert victim.read_bytes() != bytes(data)
    tally["faults injected"] += 1
    tally["survived"] += 1


def can_mount() -> bool:
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets no ordinary user mount a small disk")
def test_a_full_disk_loses_no_finished_trial(tmp_path: Path, tally: Counter[str]) -> None:
    """Results on a disk of 64 KiB: it fills up, is named, and after more room is made the same command goes on."""
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    command = " ".join([sys.executable, "-m", "harness", "bench", *BENCH, "--results", str(small)])
    script = f"""
mount -t tmpfs -o size=64k none {small}
dd if=/dev/zero of={small}/filler bs=1k count=46 status=none
{command} 2> {tmp_path}/first
echo $? > {tmp_path}/status
cp -r {small} {kept}-full
rm {small}/filler
mount -o remount,size=64m {small}
{command} 2> {tmp_path}/second
cp -r {small} {kept}
"""
    subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=ROOT, check=True, timeout=400)
    assert (tmp_path / "status").read_text().strip() == "1", (tmp_path / "first").read_text()
    assert "No space left on device" in (tmp_path / "first").read_text()
    before = {record.key for record in RecordStore(Path(f"{kept}-full"), "smoke").read()[0]}
    after = [record.key for record in RecordStore(kept, "smoke").read()[0]]
    tally["faults injected"] += 1
    tally["trials lost"] += WANTED - len(after)
    assert before
    assert before <= set(after)
    assert len(after) == len(set(after)) == WANTED
    tally["survived"] += 1


def test_a_step_of_the_system_clock_changes_no_time(tmp_path: Path, tally: Counter[str]) -> None:
    """Python's time.time jumps by an hour in every process of the bench, half-way through."""
    jump = tmp_path / "jump"
    jump.mkdir()
    (jump / "sitecustomize.py").write_text(
        "import time\nstart, real = time.monotonic(), time.time\n"
        "time.time = lambda: real() - 3600.0 * (time.monotonic() - start > 15.0)\n"
    )
    bench = Bench(tmp_path / "results", prefix=("env", f"PYTHONPATH={jump}"))
    said = bench.said()
    assert bench.process.returncode == 0, said
    for record in bench.records():
        assert 0.0 < record.submission_s <= record.wall_s < 600.0
    complete(tmp_path / "results", tally, said)


def test_what_is_recorded_can_be_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.process.wait(240) == 0, bench.said()
    verify = [sys.executable, "-m", "harness", "verify", "--suite", "smoke", "--results", str(tmp_path)]
    done = subprocess.run(
        [*verify, "--submission", "nadamw", "--workloads", "mnist_mlp,flights_dlrm"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bit for bit") == 2
    assert "nadamw: 2 of 2 trials repeat" in done.stdout
    other = subprocess.run(
        [*verify, "--submission", "adam"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert other.returncode == 2
    assert "no trials of adam are recorded" in other.stderr
    path = tmp_path / "smoke" / "trials.jsonl"
    forged = [json.loads(line) for line in path.read_text().splitlines()]
    for record in forged:
        del record["digest"]
        record["evaluations"][-1]["value"] += 0.001
    path.write_text("".join(json.dumps(record) + "\n" for record in forged))
    caught = subprocess.run(
        [*verify, "--submission", "nadamw", "--workloads", "mnist_mlp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert caught.returncode == 1
    assert "differs from step" in caught.stdout
    assert os.path.exists(path)

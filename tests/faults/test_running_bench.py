"""Faults injected into a running bench: the same command completes it, nothing is lost, nothing counted twice."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.cluster.ray_trials import TASK
from scoring.mirror import default_uri, find_leaderboards
from scoring.records import Outcome, Record, RecordStore
from tests.cores import on_one_core
from tests.cores import run as run_command
from tests.folders import ROOT
from tests.net import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WANTED = 2 * 2 * 2
BENCH = ["--suite", "smoke", "--workloads", "shakespeare_gpt,flights_dlrm", "--submissions", "nadamw,nesterov"]
BENCH += ["--studies", "2"]


class Bench:
    """A bench in a process of its own."""

    def __init__(self, results: Path, *more: str, prefix: tuple[str, ...] = ()) -> None:
        self.results = results
        command = [*prefix, sys.executable, "-m", "harness", "bench", *BENCH, "--no-mlflow"]
        command += ["--results", str(results), *more]
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
    on_one_core()


def run(results: Path, *more: str) -> str:
    """Runs the bench to its end and returns what it printed."""
    bench = Bench(results, *more)
    said = bench.said()
    assert bench.process.returncode == 0, said
    return said


def verb(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs another verb."""
    return run_command([sys.executable, "-m", "harness", *words], **environment)


def lines(results: Path) -> list[str]:
    path = results / "smoke" / "trials.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def left_of(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those alive half a minute later, save two agents of Ray: they idle on a while and are not ours to end."""

    def is_ours(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.status() != psutil.STATUS_ZOMBIE and not process.name().endswith("Agent")
        return False

    psutil.wait_procs([process for process in family if is_ours(process)], timeout=30)
    return [process for process in family if is_ours(process)]


def check_whole(results: Path, tally: Counter[str], faults: int = 1, wanted: int = WANTED) -> list[Record]:
    """Checks that each trial is on disk once and counts the faults that were survived; returns the records."""
    whole = sum(line.endswith("}") for line in lines(results))
    records = RecordStore(results, "smoke").read()[0]
    tally["faults injected"] += faults
    tally["trials lost"] += wanted - len(records)
    tally["trials counted twice"] += whole - len({r.key for r in records})
    assert len(records) == wanted
    assert whole == wanted, "a trial is on disk twice"
    assert not list((results / "smoke").glob("checkpoints/*.checkpoint"))
    tally["survived"] += faults
    return records


def finished(bench: Bench, count: int) -> Callable[[], bool]:
    return lambda: len(bench.records()) >= count


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a bench that nothing happened to."""
    results = tmp_path_factory.mktemp("whole")
    run(results)
    return results


@pytest.fixture
def paced(whole: Path, tmp_path: Path) -> Path:
    """An empty results folder in which the machine's pace is known, so that benches start at once."""
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(whole / "calibration.json", results)
    return results


def test_whoever_is_killed_the_bench_completes(paced: Path, whole: Path, tally: Counter[str]) -> None:
    """A worker with a trial that had a checkpoint, a player, and the whole machine asleep for a while."""
    bench = Bench(paced, "--checkpoint-s", "0")
    bench.until(lambda: list(paced.glob("smoke/checkpoints/*.checkpoint")))
    for worker in bench.family(f"ray::{TASK}"):
        worker.kill()
    bench.until(finished(bench, 3))
    for player in bench.until(bench.players):
        player.kill()
    bench.until(finished(bench, 6))
    bench.until(bench.players)
    family = psutil.Process(bench.process.pid).children(recursive=True)
    for process in family:
        process.suspend()
    time.sleep(4.0)
    for process in family:
        process.resume()
    said = bench.said()
    assert bench.process.returncode == 0, said
    assert "run again: " in said
    assert "stood still for" in said
    records = check_whole(paced, tally, faults=3)
    broken = [record for record in records if record.outcome is Outcome.ERROR]
    assert broken or "no player could be started: the player was killed by SIGKILL" in said
    assert all("the player was killed by SIGKILL" in record.failure.message for record in broken)
    assert any(record.resumed for record in records)
    expected = {record.key: losses(record) for record in RecordStore(whole, "smoke").read()[0]}
    for record in records:
        assert sum(seconds for _, seconds in record.ledger) == pytest.approx(record.wall_s, rel=0.01, abs=0.05)
        if record not in broken:
            common = expected[record.key].keys() & losses(record).keys()
            assert all(losses(record)[step] == expected[record.key][step] for step in common)


def losses(record: Record) -> dict[int, float | None]:
    """The metric by step: at the same step it is the same, however the trial came there."""
    return {evaluation.step: evaluation.value for evaluation in record.evaluations}


@pytest.mark.parametrize("ends", ["by signals", "without its raylet"])
def test_whatever_ends_a_bench_the_same_command_goes_on(ends: str, paced: Path, tally: Counter[str]) -> None:
    """What was recorded stays as it is and is not run again, and nothing trains on."""
    more, wanted = ("--studies", "3"), 12
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL) if ends == "by signals" else (None,)
    for number in numbers:
        recorded = lines(paced)
        bench = Bench(paced, *more)
        bench.until(finished(bench, len(recorded) + 1))
        family = psutil.Process(bench.process.pid).children(recursive=True)
        if number is None:
            (raylet, *_) = bench.until(lambda bench=bench: bench.family("raylet"))
            raylet.kill()
        else:
            bench.process.send_signal(number)
        said = bench.said()
        assert not left_of(family), "something trains on without its driver"
        assert f"{wanted} trials, {len(recorded)} recorded already, {wanted - len(recorded)} to run" in said
        assert lines(paced)[: len(recorded)] == recorded
        assert len(lines(paced)) < wanted
        assert "Traceback" not in said
        if number in (signal.SIGTERM, signal.SIGINT):
            assert bench.process.returncode == 128 + number
            assert "the same command goes on from here" in said
        else:
            assert bench.process.returncode != 0
    run(paced, *more)
    check_whole(paced, tally, faults=len(numbers), wanted=wanted)
    assert "0 to run" in run(paced, *more)


def test_two_benches_share_a_folder(paced: Path, tally: Counter[str]) -> None:
    """Each may run what the other runs as well; one record of each trial counts."""
    both = Bench(paced), Bench(paced)
    for bench in both:
        said = bench.said()
        assert bench.process.returncode == 0, said
    keys = [record.key for record in both[0].records()]
    tally["faults injected"] += 1
    tally["trials lost"] += WANTED - len(set(keys))
    tally["trials counted twice"] += len(keys) - len(set(keys))
    assert len(keys) == len(set(keys)) == WANTED
    tally["survived"] += 1


def test_a_torn_record_and_a_damaged_cache_are_noticed(
    whole: Path, tmp_path: Path, cache: Path, tally: Counter[str]
) -> None:
    """A real cache with a bit turned over; the package index is there to make it from."""
    results, copy = tmp_path / "results", tmp_path / "data"
    shutil.copytree(whole, results)
    for name in ("flights-v1", "shakespeare-v1"):
        shutil.copytree(cache / name, copy / name)
    victim = next((copy / "flights-v1" / "train").glob("*.npy"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    path = results / "smoke" / "trials.jsonl"
    text = path.read_text()
    path.write_text(text[: -(len(text.splitlines()[-1]) // 2)])
    said = run(results, "--data", str(copy))
    assert "is not a record and was left out" in said
    assert f"{WANTED} trials, {WANTED - 1} recorded already, 1 to run" in said
    assert "was damaged and is made anew" in said
    assert victim.read_bytes() != bytes(data)
    check_whole(results, tally, faults=2)


def can_mount() -> bool:
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets no ordinary user mount a small disk")
def test_a_full_disk_loses_no_finished_trial(whole: Path, tmp_path: Path, tally: Counter[str]) -> None:
    """Results on a disk with room for half of the records, which checkpoints leave to them: when it is full that is
    said, and after more room is made the same command goes on."""
    small, kept, filler = tmp_path / "small", tmp_path / "kept", tmp_path / "filler"
    small.mkdir()
    size = 512 * 2**10
    beside = [whole / "calibration.json", *(whole / "smoke" / "sources").iterdir()]
    room = sum(4096 * (path.stat().st_size // 4096 + 1) for path in beside)
    room += (whole / "smoke" / "trials.jsonl").stat().st_size // 2 + 4096
    filler.write_bytes(bytes(size - room))
    command = " ".join([sys.executable, "-m", "harness", "bench", *BENCH, "--no-mlflow", "--results", str(small)])
    script = f"""
mount -t tmpfs -o size={size} none {small}
cp {whole}/calibration.json {filler} {small}
{command} --checkpoint-s 0 2> {tmp_path}/first
echo $? > {tmp_path}/status
cp -r {small} {kept}-full
rm {small}/filler
mount -o remount,size=64m {small}
{command} 2> {tmp_path}/second
cp -r {small} {kept}
"""
    command = ["unshare", "-rm", "sh", "-c", script]
    subprocess.run(command, cwd=ROOT, check=True, timeout=400, preexec_fn=on_one_core)
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


def test_a_step_of_the_system_clock_changes_no_time(paced: Path, tmp_path: Path, tally: Counter[str]) -> None:
    """Python's time.time jumps back by an hour in every process of the bench, a few seconds after its start."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nstart, real = time.monotonic(), time.time\n"
        "time.time = lambda: real() - 3600.0 * (time.monotonic() - start > 8.0)\n"
    )
    bench = Bench(paced, prefix=("env", f"PYTHONPATH={tmp_path}"))
    said = bench.said()
    assert bench.process.returncode == 0, said
    for record in check_whole(paced, tally):
        assert 0.0 < record.submission_s <= record.wall_s < 600.0


def test_what_is_recorded_can_be_repeated(whole: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    words = ["verify", "--suite", "smoke", "--results", str(results)]
    done = verb(*words, "--submission", "nadamw", "--workloads", "shakespeare_gpt,flights_dlrm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bit for bit") == 2
    assert "nadamw: 2 of 2 trials repeat" in done.stdout
    other = verb(*words, "--submission", "adam")
    assert other.returncode == 2
    assert "no trials of adam are recorded" in other.stderr
    path = results / "smoke" / "trials.jsonl"
    forged = [json.loads(line) for line in path.read_text().splitlines()]
    for record in forged:
        del record["digest"]
        record["evaluations"][-1]["value"] += 0.001
    path.write_text("".join(json.dumps(record) + "\n" for record in forged))
    caught = verb(*words, "--submission", "nadamw", "--workloads", "flights_dlrm")
    assert caught.returncode == 1
    assert "differs from step" in caught.stdout


# ---- MLflow: a copy to look at, whose troubles cost no record. Benches bring it up to date as `leaderboard` does.


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that has had a bad day after some requests: at first it passes them on to a real one."""

    real, patience = "", 0

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        type(self).patience -= 1
        if self.patience < 0:
            self.send_error(500)
            return
        headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        request = urllib.request.Request(self.real + self.path, body, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PATCH = do_PUT = do_DELETE = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing."""


def mirrored(results: Path, uri: str) -> subprocess.CompletedProcess[str]:
    done = verb("leaderboard", "--suite", "smoke", "--results", str(results), MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 0, done.stderr
    assert "nadamw" in done.stdout
    return done


def test_a_server_that_answers_500_costs_nothing(whole: Path, tmp_path: Path, tally: Counter[str]) -> None:
    """From the start at first, then in the middle, and then no more."""
    results, store = tmp_path / "results", f"sqlite:///{tmp_path / 'mlflow.db'}"
    shutil.copytree(whole, results)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--workers", "1", "--backend-store-uri", store, "--artifacts-destination", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    Answering.real, Answering.patience = f"http://127.0.0.1:{port}", 0
    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{Answering.real}/health", timeout=2):
                break
            time.sleep(0.2)
        uri = f"http://127.0.0.1:{front.server_address[1]}"
        assert "warning: " in mirrored(results, uri).stderr
        Answering.patience = 12
        assert "warning: " in mirrored(results, uri).stderr
        assert Answering.patience < 0
        Answering.patience = 10**6
        assert "warning: " not in mirrored(results, uri).stderr
    finally:
        front.shutdown()
        front.server_close()
        server.terminate()
        server.wait()
    assert len(find_leaderboards(store)) == 1
    check_whole(results, tally, faults=2)


def test_a_locked_database_costs_nothing(whole: Path, tmp_path: Path, tally: Counter[str]) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    uri = default_uri(results)
    mirrored(results, uri)
    with contextlib.closing(sqlite3.connect(results / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        shutil.rmtree(results / "smoke" / "board", ignore_errors=True)
        assert "warning: " in mirrored(results, uri).stderr
        other.execute("ROLLBACK")
    assert "warning: " not in mirrored(results, uri).stderr
    check_whole(results, tally)

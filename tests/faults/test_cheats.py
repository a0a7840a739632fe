"""The submission is code of a stranger: what it might try, and that it gains nothing by it or is caught."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.player import weights
from harness.protocol.ending import EverySteps
from harness.protocol.trial import Trial
from harness.system import sandbox
from harness.system.processes import ProcessTree, children
from harness.trial import evaluator as judge_module
from harness.trial import referee as trial_module
from harness.trial import resume
from harness.trial.referee import run_trial
from scoring.records import Outcome, Record
from scoring.records.protocol import Guard
from submissions.registry import SubmissionRef
from tests.faults.probe import STILL, probe

Run = Callable[..., Record]

REACHABLE = EverySteps(every=20, last=60, budget_s=10.0)
"""A trial that would end at the target."""

pytestmark = pytest.mark.skipif(
    set(sandbox.available()) != set(Guard), reason="this kernel has not all the guards; boards say so"
)


def tried(tally: Counter[str], came: str, as_expected: bool) -> None:
    """Counts a cheat: what came of it if it went as expected, else that it was not noticed."""
    tally["cheats tried"] += 1
    tally[came if as_expected else "undetected"] += 1
    assert as_expected


# ---- Looking where it must not: the attempt itself must fail. `blocked` runs it and reports what it got.


def attempt(body: str, where: str) -> str:
    """A submission that makes an attempt in a hook, or when it is imported, and ends itself in either case."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    code = f"""
import ctypes, gc, glob, json, os, socket, struct, subprocess, sys, urllib.request
try:
{lines}
except (OSError, ValueError, LookupError) as error:
    raise RuntimeError(f"blocked: {{error!r}}")
raise RuntimeError(f"got {{str(found)[:200]}}")
"""
    return code + probe() if where == "import" else probe(**{where: code})


LOOKS = {
    "validation labels": "found = open({validation!r}, 'rb').read()",
    "the data's folder": "found = os.listdir({data!r})",
    "records": "found = open({records!r}).read()",
    "results' folder": "found = os.listdir({results!r})",
    "other trials' files": "found = os.listdir(os.path.dirname(os.getcwd()))",
    "home": "found = os.listdir(os.path.expanduser('~root'))",
    "passwords": "found = open('/etc/shadow').read()",
    "the referee's memory by proc": "found = open('/proc/{referee}/mem', 'rb').read(1)",
    "the referee's open files": "found = os.listdir('/proc/{referee}/fd')",
    "the referee's environment": "found = open('/proc/{referee}/environ').read()",
    "its own maps, which name the dataset": "found = open('/proc/self/maps').read()",
    "the referee's memory by the kernel": """
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
into = ctypes.create_string_buffer(8)
mine, theirs = Piece(ctypes.addressof(into), 8), Piece({address}, 8)
call = ctypes.CDLL(None, use_errno=True).process_vm_readv
if call({referee}, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) < 0:
    raise OSError(ctypes.get_errno(), "process_vm_readv")
found = into.raw
""",
    "a debugger's hold of the referee": """
if ctypes.CDLL(None, use_errno=True).ptrace(16, {referee}, 0, 0) < 0:
    raise OSError(ctypes.get_errno(), "ptrace")
found = "attached"
""",
    "weights on disk": "found = torch.load({weights!r})",
    "weights on the network": "found = urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2).read()",
    "a name on the network": "found = socket.getaddrinfo('example.com', 80)",
    "a datagram": "found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "a local service": "s = socket.socket(socket.AF_UNIX); s.connect({abstract!r}); found = s",
}
WRITES = {
    "records": "open({records!r}, 'a').write('mine'); found = 'written'",
    "the cache": "open({validation!r}, 'r+b').write(b'0'); found = 'written'",
    "another submission": "open({submission!r}, 'a').write('mine'); found = 'written'",
    "our code": "open({code!r}, 'a').write('mine'); found = 'written'",
    "a link out of its folder": "os.symlink({records!r}, 'link'); open('link', 'a').write('x'); found = 'written'",
    "a hard link": "os.link({records!r}, 'link'); found = 'linked'",
    "renaming the records": "os.rename({records!r}, 'taken'); found = 'taken'",
    "the temporary folder": "open('/tmp/mine', 'w').write('x'); found = 'written'",
    "shared memory": "open('/dev/shm/mine', 'w').write('x'); found = 'written'",
    "stopping the referee": "os.kill({referee}, 19); found = 'stopped'",
    "more memory than allowed": """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (2 ** 62, 2 ** 62)); found = 'raised'
""",
    "more than its one core": "os.sched_setaffinity(0, range(os.cpu_count())); found = 'moved'",
    "a core for its child": """
code = "import os; os.sched_setaffinity(0, range(os.cpu_count()))"
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
if "PermissionError" in done.stderr:
    raise PermissionError(done.stderr[-99:])
found = done
""",
    "children that vanish when they end": """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN); found = 'uncounted'
""",
    "a child of its parent's": """
clone = {{"x86_64": 56, "aarch64": 220}}[os.uname().machine]
if (pid := ctypes.CDLL(None, use_errno=True).syscall(clone, 0x8000 | 17, 0, 0, 0, 0)) < 0:
    raise OSError(ctypes.get_errno(), "clone")
if pid == 0:
    os._exit(0)
found = 'escaped'
""",
    "orphans for others": """
if ctypes.CDLL(None, use_errno=True).prctl(36, 0, 0, 0, 0) < 0:
    raise OSError(ctypes.get_errno(), "prctl")
found = 'given away'
""",
    "process numbers of its own": """
if ctypes.CDLL(None, use_errno=True).unshare(0x20000000) < 0:
    raise OSError(ctypes.get_errno(), "unshare")
found = 'numbered'
""",
    "root's rights": "os.setuid(0); os.chroot('/'); found = 'root'",
}
EARLY = {
    "the training data": """
import numpy
arrays = [a for a in gc.get_objects() if isinstance(a, numpy.ndarray) and a.nbytes > 100_000]
found = max(arrays, key=lambda a: a.nbytes).shape
""",
    "an open file with data": """
found = [n for n in range(256) if os.path.exists(f'/proc/self/fd/{{n}}') and os.fstat(n).st_size > 100_000][0]
""",
}


@pytest.fixture
def places(tmp_path: Path, order: Trial) -> dict[str, object]:
    """What attempts are about: real files, a real server, a real address in this process, which is the referee."""
    records = tmp_path / "results" / "smoke" / "trials.jsonl"
    records.parent.mkdir(parents=True)
    records.write_text("secret\n")
    weights = tmp_path / "weights.pt"
    torch.save(torch.ones(3), weights)
    secret = torch.full((1,), 7.0)
    validation = next((order.data / "mnist-v1" / "validation").glob("*.npy"))
    return {
        "records": str(records),
        "results": str(tmp_path / "results"),
        "weights": str(weights),
        "data": str(order.data),
        "validation": str(validation),
        "submission": str(Path(trial_module.__file__).parents[2] / "submissions" / "adam.py"),
        "code": trial_module.__file__,
        "referee": os.getpid(),
        "address": secret.data_ptr(),
        "keep": secret,
    }


@pytest.fixture
def served(places: dict[str, object]) -> dict[str, object]:
    """The same with services that would answer."""
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        name = f"\0pacer-{os.getpid()}"
        local.bind(name)
        local.listen()
        yield places | {"port": tcp.getsockname()[1], "abstract": name}


def is_blocked(record: Record) -> bool:
    return record.outcome is Outcome.ERROR and record.failure.message.startswith("blocked:")


@pytest.mark.parametrize("what", LOOKS)
def test_it_cannot_look(what: str, served: dict[str, object], run_source: Run, tally: Counter[str]) -> None:
    record = run_source(attempt(LOOKS[what].format(**served), "configure"), hidden=(Path(served["results"]),))
    tried(tally, "blocked", is_blocked(record))


@pytest.mark.parametrize("what", WRITES)
def test_it_cannot_write(what: str, places: dict[str, object], run_source: Run, tally: Counter[str]) -> None:
    before = [Path(places[key]).read_bytes() for key in ("records", "validation", "submission", "code")]
    record = run_source(attempt(WRITES[what].format(**places), "configure"))
    after = [Path(places[key]).read_bytes() for key in ("records", "validation", "submission", "code")]
    tried(tally, "blocked", is_blocked(record) and before == after)


@pytest.mark.parametrize("what", EARLY)
def test_there_is_nothing_to_train_on_before_the_clock(what: str, run_source: Run, tally: Counter[str]) -> None:
    record = run_source(attempt(EARLY[what].format(), "import"))
    tried(tally, "blocked", is_blocked(record))


def test_no_name_or_path_tells_the_workload(run_source: Run, tally: Counter[str]) -> None:
    """Its shapes and the code of its model do: see docs/integrity.md."""
    search = """
import json, multiprocessing, os, sys
frame, told = sys._getframe(), []
while frame is not None:
    plain = (str, bytes, tuple, list, dict)
    values = [v for n, v in frame.f_locals.items() if n not in ("told", "values")]
    values += [v.spec for v in values if type(v).__name__ == "Task"]
    told += [repr(v) for v in values if isinstance(v, plain) or type(v).__name__ in ("PlayerSpec", "WorkloadView")]
    frame = frame.f_back
told += [*os.environ.values(), os.getcwd(), *sys.argv, repr(multiprocessing.current_process()._args)]
told += [os.readlink(f"/proc/self/fd/{n}") for n in range(64) if os.path.lexists(f"/proc/self/fd/{n}")]
told += [repr(vars(workload))]
assert any(text.startswith("PlayerSpec") for text in told), "which is where it would stand"
hints = [text for text in told if "mn" + "ist" in text.lower()]
raise RuntimeError(f"got {hints[0][:300]}" if hints else "blocked: no name")
"""
    record = run_source(probe(configure=search))
    tried(tally, "blocked", is_blocked(record))


# ---- Patching: what the player believes does not matter.

PATCHES = {
    "time": "import time; time.perf_counter = time.monotonic = time.time = lambda: 0.0",
    "the metric": """
import workloads.metrics, workloads.mnist_mlp
workloads.metrics.evaluate = lambda *a, **k: 0.0
""",
    "the target": """
from workloads.base import Workload
Workload.reaches = lambda *a: True
Workload.target = 1.0
""",
    "the loss": """
import torch.nn.functional as F, workloads.losses
F.cross_entropy = lambda *a, **k: torch.zeros(())
""",
    "the model class": "torch.nn.Module.__call__ = lambda self, x: torch.zeros(len(x), 10)",
    "torch": "torch.Tensor.argmax = lambda *a, **k: torch.zeros(1); torch.eq = lambda a, b: a == a",
    "our modules": """
from scoring import records
from harness.player import loop
from harness.protocol import ending
from harness.trial import clock, player_process
ending.EverySteps.outcome = lambda *a, **k: "reached"
clock.Stopwatch.submission_s = lambda self: 0.0
records.Record = dict
loop.weights.check_storages = lambda *a: None
""",
}


@pytest.mark.parametrize("what", PATCHES)
def test_patching_its_own_process_gains_nothing(what: str, run_source: Run, tally: Counter[str]) -> None:
    slow = "import time\ntime.sleep(0.2)"
    honest = run_source(probe(configure=slow, update=STILL), ending=REACHABLE)
    patched = run_source(probe(configure=f"{slow}\n{PATCHES[what]}", update=STILL), ending=REACHABLE)
    same = [e.value for e in patched.evaluations] == [e.value for e in honest.evaluations]
    broke = patched.outcome is Outcome.ERROR
    tried(tally, "gained nothing", (same or broke) and patched.submission_s > 0.2 and patched.crossing is None)


# ---- The clock.

BUSY = "while True: sum(range(1000))"
HASHING = "while True: hashlib.sha256(bytes(10**6))"  # in C, so that other threads go on
PAUSED = {
    "a thread": f"""
import hashlib, threading
def work():
    {HASHING}
threading.Thread(target=work, daemon=True).start()
""",
    "a process": f"""
import os
if os.fork() == 0:
    {BUSY}
""",
    "a process in a session of its own": f"""
import os
if os.fork() == 0:
    os.setsid()
    {BUSY}
""",
    "an orphan": f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {BUSY}
    os._exit(0)
os.wait()
""",
    "a signal handler": """
import signal
signal.signal(signal.SIGCONT, lambda *_: [sum(range(1000)) for _ in range(100)])
""",
}


def supervised(
    patch: pytest.MonkeyPatch, look: Callable[[], object], seconds: float
) -> list[tuple[object, object]]:
    """Has every evaluation take longer, and what `look` sees before and after it kept."""
    seen: list[tuple[object, object]] = []
    evaluate = judge_module.evaluate

    def slowly(*arguments: object) -> object:
        before = look()
        threading.Event().wait(seconds)
        seen.append((before, look()))
        return evaluate(*arguments)

    patch.setattr(judge_module, "evaluate", slowly)
    return seen


def players_cpu_s() -> float:
    """Processor time of the players of this process, the referee, and of all that descends from them."""
    servers = children(os.getpid())
    return sum(ProcessTree(player).cpu_s() for server in servers for player in children(server))


@pytest.mark.parametrize("what", PAUSED)
def test_nothing_of_it_runs_while_the_clock_is_paused(what: str, run_source: Run, tally: Counter[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = supervised(patch, players_cpu_s, 0.1)
        record = run_source(probe(configure=PAUSED[what]))
    still = len(seen) == 3 and all(before == after for before, after in seen)
    tried(tally, "blocked", still and record.outcome is Outcome.COMPLETE)


def test_a_timer_does_not_wake_it_unnoticed(run_source: Run, tally: Counter[str]) -> None:
    timer = f"""
import ctypes, hashlib, signal, struct
library, timer = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p()
event = ctypes.create_string_buffer(struct.pack("qii48x", 0, signal.SIGCONT, 0), 64)
assert library.timer_create(1, event, ctypes.byref(timer)) == 0
every = ctypes.create_string_buffer(struct.pack("qqqq", 0, 20_000_000, 0, 20_000_000), 32)
assert library.timer_settime(timer, 0, every, None) == 0
import threading
def work():
    {HASHING}
threading.Thread(target=work, daemon=True).start()
"""
    with pytest.MonkeyPatch.context() as patch:
        seen = supervised(patch, players_cpu_s, 0.2)
        record = run_source(probe(configure=timer))
    stood_still = len(seen) == 3 and all(before == after for before, after in seen)
    caught = record.outcome is Outcome.ERROR and record.failure.kind == "ClockCheat"
    tried(tally, "detected" if caught else "blocked", caught or stood_still)


def test_an_accomplice_that_wakes_it_is_noticed(run_source: Run, tally: Counter[str]) -> None:
    def wake() -> None:
        for pid in children(os.getpid()):
            ProcessTree(pid).resume()

    with pytest.MonkeyPatch.context() as patch:
        supervised(patch, wake, 0.2)
        record = run_source(probe(configure=PAUSED["a thread"]))
    tried(tally, "detected", record.outcome is Outcome.ERROR and record.failure.kind == "ClockCheat")


def test_weights_do_not_change_while_they_are_judged(run_source: Run, tally: Counter[str]) -> None:
    swap = """
import threading
def swap():
    while True:
        for p in model.parameters():
            p.data.mul_(-1.0)
threading.Thread(target=swap, daemon=True).start()
"""
    models = []
    share = weights.share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "share", lambda model: models.append(model) or share(model))
        look = lambda: torch.cat([p.detach().flatten() for p in models[0].parameters()])  # noqa: E731
        seen = supervised(patch, look, 0.1)
        run_source(probe(configure=swap, update=STILL))
    tried(tally, "blocked", len(seen) == 3 and all(torch.equal(a, b) for a, b in seen))


def test_memory_is_not_taken_from_under_the_referee(run_source: Run, tally: Counter[str]) -> None:
    shrink = """
import os
sizes = {n: os.fstat(n).st_size for n in range(3, 256) if os.path.lexists(f"/proc/self/fd/{n}")}
for n in sizes:
    try:
        os.ftruncate(n, 0)
    except OSError:
        pass
"""
    record = run_source(probe(configure=shrink, update=STILL))
    tried(tally, "gained nothing", record.outcome is Outcome.COMPLETE and len(record.evaluations) == 3)


# ---- Lies.

FIND = """
import gc, json
from multiprocessing.connection import Connection
def find():
    return [c for c in gc.get_objects() if isinstance(c, Connection) and c.writable and c.readable][0]
"""
EVAL_READY = (
    '{"kind": "EvalReady", "step": %s, "examples": %s, "train_loss": 0.1, "complete": %s, "state_bytes": null}'
)
LIES = {
    "an evaluation before one is due": EVAL_READY % (7, 7, "false"),
    "a word that there is not": '{"kind": "Won"}',
    "no JSON": "\\x80",
    "a step below none": EVAL_READY % (-5, 0, "true"),
    "no number for a step": EVAL_READY % ("[]", 0, "true"),
    "a number without end": EVAL_READY % ("9" * 400, 0, "true"),
    "a loss without end": (EVAL_READY % (7, 7, "true")).replace("0.1", "9" * 400),
    "too long a message": '{"kind": "' + "x" * 3_000_000 + '"}',
    "nested without end": "[" * 500_000,
}


@pytest.mark.parametrize("what", LIES)
def test_lies_are_noticed(what: str, run_source: Run, tally: Counter[str]) -> None:
    message = f"'{LIES[what]}'"
    if len(message) > 1000:
        message = f"{LIES[what][:1]!r} + {LIES[what][1]!r} * {len(LIES[what])}"
    body = f"find().send_bytes(({message}).encode('latin-1'))\nreturn training.loss(batch).detach()"
    record = run_source(probe(top=FIND, update=body))
    caught = record.outcome is Outcome.ERROR and record.failure.kind == "ProtocolError"
    tried(tally, "detected", caught)


def test_a_result_cannot_be_claimed_for_training(run_source: Run, tally: Counter[str]) -> None:
    """By a message that says, before the clock runs, how the trial ends."""
    won = '{"kind": "Loaded", "hp": {}, "batch_size": 1, "declined": ["reached", "won"]}'
    record = run_source(probe(top=f"{FIND}\nfind().send_bytes(b'{won}')"))
    tried(tally, "detected", record.outcome is Outcome.ERROR and record.failure.kind == "ProtocolError")


def test_half_a_message_does_not_hold_the_referee(run_source: Run, tally: Counter[str]) -> None:
    body = "import os, time\nos.write(find().fileno(), b'\\0\\0\\1\\0half')\ntime.sleep(1000)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.trial.player_process._STUCK_S", 1)
        record = run_source(probe(top=FIND, update=body))
    tried(tally, "detected", record.outcome is Outcome.ERROR and record.failure.kind == "ProtocolError")


def test_going_back_in_steps_is_noticed(run_source: Run, tally: Counter[str]) -> None:
    back = "self.back = training.step == 30 or getattr(self, 'back', False)\nif self.back:\n    training.step = 2\n"
    body = back + "return training.loss(batch).detach()"
    record = run_source(probe(update=body), ending=EverySteps(every=20, budget_s=1.5, period_s=0.1))
    caught = record.outcome is Outcome.ERROR and "back" in record.failure.message
    tried(tally, "detected", caught)


def test_claiming_fewer_examples_does_not_save_time(run_source: Run, tally: Counter[str]) -> None:
    """Boards are ranked by time; one by examples says whose count that is."""
    body = "batch = batches.next(16)\nbatches.examples = 1\nreturn batch"
    honest = run_source(probe())
    record = run_source(probe(select=body))
    same = [e.value for e in record.evaluations] == [e.value for e in honest.evaluations]
    tried(tally, "gained nothing", same and record.submission_s > 0.0)


def test_more_evaluations_are_not_to_be_had(run_source: Run, tally: Counter[str]) -> None:
    top = FIND + "\nfrom multiprocessing.connection import Connection"
    body = f"find().send_bytes(b'{EVAL_READY % (20, 20, 'false')}')\nreturn training.loss(batch).detach()"
    record = run_source(probe(top=top, after_eval=body))
    assert record.outcome is Outcome.ERROR
    caught = (record.failure.kind, record.failure.message)
    expected = ("ProtocolError", "the player asked for an evaluation at step 20, before one was due")
    tried(tally, "detected", caught == expected and len(record.evaluations) == 1)


def test_evaluations_cannot_be_skipped(run_source: Run, tally: Counter[str]) -> None:
    """By a player that jumps over the step at which it is to stop: it is asked for one at the end, and caught."""
    body = "if training.step == 30:\n    training.step = 45\nreturn training.loss(batch).detach()"
    record = run_source(probe(update=body), ending=EverySteps(every=20, budget_s=1.5, period_s=0.1))
    caught = record.failure is not None and "past the evaluation that was due at step 40" in record.failure.message
    tried(tally, "detected", caught and len(record.evaluations) == 1)


# ---- Checkpoints.


def test_a_saved_state_runs_no_code(order: Trial, tmp_path: Path, tally: Counter[str]) -> None:
    """Neither where it is saved, nor in the referee, nor where training goes on."""
    top = """
class Evil:
    def __init__(self):
        self.x = 1
    def __reduce__(self):
        return print, ("ran when pickled",)
    def __setstate__(self, state):
        raise RuntimeError("ran when read")
"""
    save = "return {'evil': Evil(), **super().state_dict(training)}"
    load = "assert state.pop('evil').x == 1\nsuper().load_state_dict(training, state)"
    ref = SubmissionRef(name="probe", text=probe(top, state_dict=save, load_state_dict=load), filename="probe.py")
    path = tmp_path / "trial.checkpoint"
    saving = replace(order, submission=ref, checkpoint=path, checkpoint_every_s=0.0)
    whole = run_trial(saving)
    assert path.exists()
    resumed = run_trial(saving)
    same = [e.value for e in resumed.evaluations] == [e.value for e in whole.evaluations]
    tried(tally, "gained nothing", resumed.resumed == 1 and same and resumed.outcome is Outcome.COMPLETE)


def test_a_large_state_buys_no_time(order: Trial, tmp_path: Path, tally: Counter[str]) -> None:
    save = "import time\ntime.sleep(0.4)\nlarge = torch.zeros(2 ** 26, dtype=torch.uint8)\n"
    save += "return {'large': large, **super().state_dict(training)}"
    load = "state.pop('large')\nsuper().load_state_dict(training, state)"
    ref = SubmissionRef(name="probe", text=probe(state_dict=save, load_state_dict=load), filename="probe.py")
    saving = replace(order, submission=ref, checkpoint=tmp_path / "c.checkpoint", checkpoint_every_s=0.0)
    record = run_trial(saving)
    assert saving.checkpoint.exists()
    tried(tally, "gained nothing", record.outcome is Outcome.COMPLETE and record.submission_s > 1.0)


def test_a_state_without_end_is_not_kept(order: Trial, tmp_path: Path, tally: Counter[str]) -> None:
    """Neither where the player says so, nor where it sends more than it may."""
    save = "return {'large': torch.zeros(2 ** 24, dtype=torch.uint8), **super().state_dict(training)}"
    lie = "import json\nreal = json.loads\n"
    lie += "json.loads = lambda text: real(text) | ({'most': 2 ** 40} if b'most' in text else {})"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "_LARGEST_BYTES", 2**20)
        patch.setattr(resume, "_LARGEST_WEIGHTS", 1)
        for configure, outcome in (("pass", Outcome.COMPLETE), (lie, Outcome.ERROR)):
            text = probe(configure=configure, state_dict=save)
            ref = SubmissionRef(name="probe", text=text, filename="probe.py")
            saving = replace(order, submission=ref, checkpoint=tmp_path / "c.checkpoint", checkpoint_every_s=0.0)
            record = run_trial(saving)
            refused = record.failure is None or "expected at most" in record.failure.message
            tried(tally, "blocked", record.outcome is outcome and refused and not saving.checkpoint.exists())


def test_work_done_while_saving_is_on_the_clock(order: Trial, tmp_path: Path, tally: Counter[str]) -> None:
    save = "import time\ntime.sleep(0.4)\nreturn super().state_dict(training)"
    ref = SubmissionRef(name="probe", text=probe(state_dict=save), filename="probe.py")
    saving = replace(order, submission=ref, checkpoint=tmp_path / "c.checkpoint", checkpoint_every_s=0.0)
    record = run_trial(saving)
    tried(tally, "gained nothing", record.submission_s > 1.0)


def test_work_done_while_a_trial_is_restored_is_on_the_clock(
    order: Trial, tmp_path: Path, tally: Counter[str]
) -> None:
    """Where a trial goes on, the training data are there before its clock is."""
    saving = replace(order, checkpoint=tmp_path / "c.checkpoint", checkpoint_every_s=0.0)
    times = []
    for work in ("", "import time\ntime.sleep(1.5)\n"):
        text = probe(load_state_dict=work + "super().load_state_dict(training, state)")
        mine = replace(saving, submission=SubmissionRef(name="probe", text=text, filename="probe.py"))
        run_trial(mine)
        resumed = run_trial(mine)
        assert resumed.resumed == 1
        times.append(resumed.submission_s)
    tried(tally, "gained nothing", times[1] > times[0] + 0.8)

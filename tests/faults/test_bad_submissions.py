"""Submissions that are broken or greedy: each ends its own trial, with an outcome that names what happened."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.protocol.ending import EverySteps
from harness.system.sandbox import Limits
from scoring.records import Outcome, Record, from_json, to_json
from submissions.registry import UnknownSubmissionError, resolve
from tests.faults.probe import probe

Run = Callable[..., Record]
LIMITS = Limits(memory_gib=1.5, processes=32, file_mib=8, stall_s=5.0)
NAN = "[p.data.fill_(float('{}')) for p in training.model.parameters()]\nreturn training.loss(batch).detach()"
STALL = "import time\ntime.sleep(1000)"

BROKEN = {
    "a syntax error": ("def broken(:", Outcome.ERROR, "SyntaxError"),
    "a missing module": ("import no_such_module", Outcome.ERROR, "no_such_module"),
    "no class": ("x = 1", Outcome.ERROR, "0 subclasses"),
    "nan": (probe(update=NAN.format("nan")), Outcome.DIVERGED, None),
    "inf": (probe(update=NAN.format("inf")), Outcome.DIVERGED, None),
    "a step that never returns": (probe(update=STALL), Outcome.BUDGET, "did not come back from update"),
    "a busy loop": (probe(update="while True: pass"), Outcome.BUDGET, "did not come back from update"),
    "configure that never returns": (probe(configure=STALL), Outcome.BUDGET, "did not come back from configure"),
    "sys.exit": (probe(update="import sys\nsys.exit(4)"), Outcome.ERROR, "SystemExit.*4"),
    "os._exit": (probe(update="import os\nos._exit(3)"), Outcome.ERROR, "exited with code 3"),
    "a segfault": (probe(update="import ctypes\nctypes.string_at(0)"), Outcome.ERROR, "SIGSEGV"),
    "kill -9 of itself": (probe(update="import os\nos.kill(os.getpid(), 9)"), Outcome.ERROR, "SIGKILL"),
    "memory without end": (
        probe(update="self.kept = []\nwhile True: self.kept.append(bytearray(2 ** 26))"),
        Outcome.ERROR,
        "OutOfMemory",
    ),
    "tensors without end": (
        probe(update="self.kept = []\nwhile True: self.kept.append(torch.ones(2 ** 26))"),
        Outcome.ERROR,
        "OutOfMemory: .*(not enough memory|can't allocate memory)",
    ),
    "forks without end": (
        probe(update="import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(1000)"),
        Outcome.ERROR,
        "TooManyProcesses|BlockingIOError",
    ),
    "a fork bomb": (
        probe(update="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        Outcome.ERROR,
        "TooManyProcesses",
    ),
    "output without end": (
        probe(update="import os\nwhile True: os.write(1, b'x' * 2 ** 16)"),
        Outcome.ERROR,
        "File too large",
    ),
    "a file without end": (
        probe(update="f = open('big', 'wb')\nwhile True: f.write(b'x' * 2 ** 20)"),
        Outcome.ERROR,
        "File too large",
    ),
    "another dtype": (probe(before_eval="training.model.double()"), Outcome.ERROR, "tensors of the model were"),
    "another shape": (
        probe(before_eval="p = next(training.model.parameters())\np.data = p.data.reshape(-1)"),
        Outcome.ERROR,
        "tensors of the model were",
    ),
    "a replaced parameter": (
        probe(before_eval="training.model.register_parameter('x', torch.nn.Parameter(torch.ones(1)))"),
        Outcome.ERROR,
        "tensors of the model were",
    ),
    "freed parameters": (
        probe(before_eval="for p in training.model.parameters(): p.data = torch.empty(0)"),
        Outcome.ERROR,
        "tensors of the model were",
    ),
    "deleted modules": (
        probe(before_eval="for n, _ in list(training.model.named_children()): delattr(training.model, n)"),
        Outcome.ERROR,
        "tensors of the model were",
    ),
    "an exception without a text": (probe(update="assert False"), Outcome.ERROR, "AssertionError"),
    "an exception that cannot be shown": (
        probe(
            top="class Odd(Exception):\n    def __str__(self): raise ValueError('odd')",
            update="raise Odd()",
        ),
        Outcome.ERROR,
        "Odd",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_ends_its_own_trial_by_name(what: str, run_source: Run, tally: Counter[str]) -> None:
    source, outcome, message = BROKEN[what]
    # What ends by itself is given the time for it, on a busy machine too.
    budget_s = 20.0 if outcome is Outcome.ERROR else 2.0
    limits = replace(LIMITS, stall_s=2.5 * budget_s)
    started = time.monotonic()
    ending = EverySteps(every=100, budget_s=budget_s, period_s=0.5, stop_at_target=False)
    record = run_source(source, ending=ending, limits=limits)
    assert record.outcome is outcome, record.failure
    if message is not None:
        assert record.failure is not None
        assert re.search(message, f"{record.failure.kind}: {record.failure.message}")
    assert time.monotonic() - started < 60
    assert from_json(to_json(record)) == record
    tally["faults injected"] += 1
    tally["survived"] += 1


def test_what_it_started_is_gone(run_source: Run) -> None:
    leave = """
import os, subprocess, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
subprocess.Popen(["sleep", "432.1"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "432.1"])
    os._exit(0)
os.wait()
"""
    for ending in ("", "os._exit(0)"):
        run_source(probe(configure=leave, update=f"import os\n{ending or 'return training.loss(batch).detach()'}"))
        assert not [p for p in psutil.process_iter(["cmdline"]) if "432.1" in (p.info["cmdline"] or [])]


def test_what_it_printed_last_is_kept_and_moves_nothing(run_source: Run) -> None:
    record = run_source(probe(update="print('\\x1b[2J\\x07 here', flush=True)\nraise ValueError('\\x1b[31mred')"))
    assert record.failure.message == "\\x1b[31mred"
    assert record.failure.output == "\\x1b[2J\\x07 here\n"


def test_hyperparameters_of_any_kind_make_a_record(run_source: Run) -> None:
    odd = "    defaults = {'lr': float('nan'), 'x': object(), '\\x1b[0m': [float('inf')]}\n"
    record = run_source(probe().replace("    name = ", odd + "    name = "))
    assert from_json(to_json(record)) == record
    assert record.hp["lr"] is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "<script>alert(1)</script>", "a b", "x" * 65, "\x1b[31m"])
def test_a_name_that_is_a_path_or_markup_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    path.write_text(probe().replace('"probe"', repr(name)))
    with pytest.raises(UnknownSubmissionError, match="expected a name of"):
        resolve(str(path))

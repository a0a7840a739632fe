"""Processes are stopped for certain, and given the time that they need for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from harness.system import processes
from harness.system.processes import ProcessTree, Unstoppable


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


def test_one_that_is_late_to_stand_still_is_waited_for(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count()
    monkeypatch.setattr(processes, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(processes, "_stands_still", lambda pid: next(looks) >= 5000)
    ProcessTree(sleeper.pid).stop()
    assert next(looks) == 5001


def test_one_that_never_stands_still_is_said_to_run(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(processes, "_stands_still", lambda pid: False)
    with pytest.raises(Unstoppable, match="1 processes still run"):
        ProcessTree(sleeper.pid).stop()

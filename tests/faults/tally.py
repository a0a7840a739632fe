"""The tally of what was injected and what came of it, printed at the end: what `make faults` is for.

A plugin, so that it can gather what several test processes have counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

_TALLY: pytest.StashKey[Counter[str]] = pytest.StashKey()
_FAULTS = ("faults injected", "survived", "trials lost", "trials counted twice")
_CHEATS = ("cheats tried", "blocked", "gained nothing", "detected", "undetected")
_SENT = "faults_tally"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Counter()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """What this run has counted; a test adds what it saw before it asserts anything."""
    return request.config.stash[_TALLY]


def pytest_sessionfinish(session: pytest.Session) -> None:
    sent = getattr(session.config, "workeroutput", None)  # there in the processes that xdist starts
    if sent is not None:
        sent[_SENT] = dict(session.config.stash[_TALLY])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # A process that died has sent nothing; its tests failed.
    node.config.stash[_TALLY].update(getattr(node, "workeroutput", {}).get(_SENT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash[_TALLY]
    for group in (_FAULTS, _CHEATS):
        if counts[group[0]]:
            terminalreporter.write_line(", ".join(f"{name}: {counts[name]}" for name in group))

"""What a player of its own gives a submission in the harness: modules that are nobody else's."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_THEIRS = ("algoperf", "algorithmic_efficiency", "submission", "submissions.external_tuning")


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes away again what loading an AlgoPerf submission makes importable."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in _THEIRS or name.startswith(_THEIRS[-1]):
            del sys.modules[name]

"""A bench that is lost with its cluster runs again once there is one, and no other one does."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import supervisor


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of something that answers."""
    monkeypatch.setattr(supervisor, "_KNOCK_EVERY_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def bench(folder: Path, *statuses: int) -> list[str]:
    """A command that ends with one of these after the other, and by a signal where it is below 0."""
    code = f"""
import os, pathlib, sys
runs = pathlib.Path({str(folder / "runs")!r})
number = len(runs.read_text()) if runs.exists() else 0
runs.write_text("x" * (number + 1))
status = {statuses}[number]
os.kill(os.getpid(), -status) if status < 0 else sys.exit(status)
"""
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_its_own_end_is_the_end(status: int, head: str, tmp_path: Path) -> None:
    said: list[str] = []
    assert supervisor.watch(bench(tmp_path, supervisor.ORDERLY + status), head, said.append) == status
    assert said == []


@pytest.mark.parametrize("lost", [1, -6, -9, supervisor.ORDERLY + supervisor.CLUSTER_LOST])
def test_what_is_lost_runs_again(lost: int, head: str, tmp_path: Path) -> None:
    said: list[str] = []
    assert supervisor.watch(bench(tmp_path, lost, lost, supervisor.ORDERLY), head, said.append) == 0
    assert len(said) == 2
    assert f"the cluster at {head} is gone" in said[0]


def test_what_is_lost_at_once_is_left_to_a_person(head: str, tmp_path: Path) -> None:
    said: list[str] = []
    assert supervisor.watch(bench(tmp_path, *[1] * 9), head, said.append) == 1
    assert (tmp_path / "runs").read_text() == "xxx"
    assert "lost 3 times" in said[-1]


def test_the_head_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_KNOCK_EVERY_S", 0.05)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        threading.Timer(1.0, server.listen).start()
        started = time.monotonic()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert supervisor.watch(bench(tmp_path, 1, supervisor.ORDERLY), address, lambda text: None) == 0
    assert time.monotonic() - started >= 1.0


def test_it_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_KNOCK_EVERY_S", 0.05)
    monkeypatch.setattr(supervisor, "_PATIENCE_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        said: list[str] = []
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert supervisor.watch(bench(tmp_path, 1), address, said.append) == 1
    assert "the same command goes on" in said[-1]

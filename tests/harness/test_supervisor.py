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
    lines: list[str] = []
    assert supervisor.supervise(bench(tmp_path, supervisor.ORDERLY + status), head, lines.append) == status
    assert lines == []


@pytest.mark.parametrize("lost", [1, -6, -9, supervisor.ORDERLY + supervisor.CLUSTER_LOST])
def test_what_is_lost_runs_again(lost: int, head: str, tmp_path: Path) -> None:
    lines: list[str] = []
    assert supervisor.supervise(bench(tmp_path, lost, lost, supervisor.ORDERLY), head, lines.append) == 0
    assert len(lines) == 2
    assert f"the cluster at {head} is gone" in lines[0]


def test_it_gives_up_on_what_is_lost_at_once_three_times(head: str, tmp_path: Path) -> None:
    lines: list[str] = []
    assert supervisor.supervise(bench(tmp_path, *[1] * 9), head, lines.append) == 1
    assert (tmp_path / "runs").read_text() == "xxx"
    assert "lost 3 times" in lines[-1]


def test_the_head_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_KNOCK_EVERY_S", 0.05)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        threading.Timer(1.0, server.listen).start()
        started = time.monotonic()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert supervisor.supervise(bench(tmp_path, 1, supervisor.ORDERLY), address, lambda text: None) == 0
    assert time.monotonic() - started >= 1.0


def test_it_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_KNOCK_EVERY_S", 0.05)
    monkeypatch.setattr(supervisor, "_PATIENCE_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        lines: list[str] = []
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert supervisor.supervise(bench(tmp_path, 1), address, lines.append) == 1
    assert "the same command goes on" in lines[-1]


def supervised(monkeypatch: pytest.MonkeyPatch, *lasted: float) -> tuple[int, int]:
    """The exit status and the runs of a bench that is lost after these seconds, one run after the other, and then
    comes to its end; its head is back at once."""
    now, runs = [1000.0], iter(lasted)
    count = [0]

    def ended(command: object) -> int:
        count[0] += 1
        seconds = next(runs, None)
        now[0] += seconds or 0.0
        return supervisor.ORDERLY + 7 if seconds is None else 1

    monkeypatch.setattr(supervisor, "_ended", ended)
    monkeypatch.setattr(supervisor, "_is_back", lambda address: True)
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    return supervisor.supervise(["bench"], "head:1", lambda text: None), count[0]


@pytest.mark.parametrize(
    ("lasted", "status", "runs"),
    [
        ((1.0, 1.0), 7, 3),
        ((1.0, 1.0, 1.0), 1, 3),
        ((59.9, 59.9, 59.9), 1, 3),
        ((1.0, 60.0, 1.0), 7, 4),
        ((60.0,) * 9, 7, 10),
        ((1.0, 1.0, 60.0, 1.0, 1.0, 60.0), 7, 7),
        ((60.0, 1.0, 1.0, 1.0, 1.0), 1, 4),
    ],
)
def test_three_losses_within_a_minute_each_in_a_row_end_it(
    monkeypatch: pytest.MonkeyPatch, lasted: tuple[float, ...], status: int, runs: int
) -> None:
    assert supervised(monkeypatch, *lasted) == (status, runs)


@pytest.mark.parametrize("address", ["auto", "ray://somewhere:10001", "local"])
def test_an_address_that_is_no_host_and_port_is_not_tried(address: str) -> None:
    supervisor.knock(address)


def test_a_head_that_nobody_listens_at_is_not_there() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            supervisor.knock(f"127.0.0.1:{silent.getsockname()[1]}")

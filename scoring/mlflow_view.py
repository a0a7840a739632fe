"""What `make ui` runs: MLflow's pages over a results folder, opened at the leaderboard.

The server is for this machine alone, has one worker, runs no jobs of MLflow's own and reports to nobody. It is up
in about 8 s and holds 0.5 GB (2-core cloud machine, MLflow 3.17, n = 3).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from pacer import paths
from pacer.errors import UsageError
from scoring.mirror import MirrorError, default_uri, find_leaderboards, leaderboard_url
from scoring.mlflow_store import sqlite_file

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_PATIENCE_S = 120
_STOP_PATIENCE_S = 10
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else a queue and its consumers run with the server
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",  # MLflow's own use of its libraries is no news to a viewer
}


def serve(
    results: Path,
    *,
    tracking_uri: str | None = None,
    suite: str | None = None,
    host: str = "127.0.0.1",
    port: int = 5000,
    public: bool = False,
    say: Callable[[str], Any] = partial(print, flush=True),  # noqa: B008
) -> None:
    """Shows the leaderboards of a results folder until Ctrl-C, or says where a tracking server shows them.

    `suite` lists that suite's only. Where `port` is taken or 0 the kernel picks one. A host that other machines can
    reach is refused unless `public`, for MLflow asks nobody for a password. Raises UsageError and MirrorError.
    """
    uri = tracking_uri or default_uri(results)
    if uri.startswith(("http://", "https://")):
        _say_addresses(uri, uri, suite, say)
        return
    if host not in _LOOPBACK and not public:
        raise UsageError(
            f"{host} can be reached from other machines, and MLflow lets whoever reaches it delete results. "
            "Leave the host at 127.0.0.1, or allow it with public=True."
        )
    database = sqlite_file(uri)
    if database is None:
        raise UsageError(f"{uri} is neither the address of a tracking server nor an SQLite file.")
    if not database.exists():
        raise UsageError(f"There is nothing to show yet: {database} does not exist. Run a benchmark first.")
    free = _free_port(host, port)
    if port not in (0, free):
        say(f"Port {port} is taken, so this is port {free}.")
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    base = f"http://{shown}:{free}"
    try:
        with _server(uri, host, free, database.parent / "mlartifacts") as process:
            _wait(process, base)
            _say_addresses(base, uri, suite, say)
            say("Ctrl-C stops it.")
            process.wait()
            raise MirrorError(f"MLflow's server ended by itself with status {process.returncode}.")
    except KeyboardInterrupt:
        say("Stopped.")


def _say_addresses(base: str, tracking_uri: str, suite: str | None, say: Callable[[str], Any]) -> None:
    boards = find_leaderboards(tracking_uri)
    if suite is not None:
        boards = [(name, number) for name, number in boards if name.startswith(f"pacer/{suite} ")]
    if not boards:
        say(f"{base}  (no leaderboard yet)")
    for name, number in boards:
        say(f"{name}: {leaderboard_url(base, number)}")


def _free_port(host: str, port: int) -> int:
    """The port, or one that the kernel picks where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (port, 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UsageError(f"{host} is not an address of this machine.")


@contextmanager
def _server(uri: str, host: str, port: int, artifacts: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running server; it and its worker are gone when this ends, by Ctrl-C, by SIGTERM or by an error."""
    command = paths.python_command("-m", "scoring.mlflow_app", host, str(port))
    environment = paths.python_environment() | _ENVIRONMENT
    environment |= {
        "_MLFLOW_SERVER_FILE_STORE": uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(artifacts),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the whole group in order.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, before)
        for stop in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, stop)
                process.wait(_STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        if process.stdin:
            process.stdin.close()


def _wait(process: subprocess.Popen[bytes], base: str) -> None:
    """Returns when the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy must not be asked for loopback
    deadline = time.monotonic() + _START_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise MirrorError(
                f"MLflow's server ended with status {process.returncode} as it started; its message is above."
            )
        try:
            with opener.open(f"{base}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise MirrorError(f"MLflow's server did not answer at {base} within {_START_PATIENCE_S} s.")

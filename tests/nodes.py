"""Nodes of a Ray cluster on this machine, each with a raylet and a folder of its own, as `ray start` makes them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.cores import on_one_core
from tests.folders import ROOT
from tests.net import free_port

_RAY = str(Path(sys.executable).with_name("ray"))


class Nodes:
    """A cluster of nodes with so many devices each; as a context manager it leaves none behind."""

    def __init__(self, port: int | None = None) -> None:
        self._folders = ExitStack()
        self._named: dict[str, Path] = {}
        self.port = port or free_port()
        self.address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folders.close()

    def add(self, name: str, devices: int = 1, *, before: str = "", apart: bool = False) -> None:
        """Starts a node, the first as head, after the shell command `before`.

        Trials on it wait for cores that those of other nodes use, as on one machine, unless it is `apart`.
        """
        where = (
            f"--address={self.address}" if self.address else f"--head --port={self.port} --include-dashboard=false"
        )
        self.run(name, f"{_RAY} start {where} --num-cpus={devices}", before=before, apart=apart)
        self.address = f"127.0.0.1:{self.port}"

    def run(self, name: str, command: str, *, before: str = "", apart: bool = False) -> None:
        """Runs a command that starts a node, with what lets several live on one machine."""
        folder = self._named[name] = Path(self._folders.enter_context(_folder()))
        command += f" --node-name={name} --temp-dir={folder} --disable-usage-stats"
        words = ["unshare", "-rm"] if before else []
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        if apart:
            environment["TMPDIR"] = str(folder)
        subprocess.run(
            [*words, "sh", "-c", f"{before} && {command}" if before else command],
            check=True,
            capture_output=True,
            cwd=ROOT,
            # As the README has it; the head asks for a token, and has left it in the home.
            env=environment | {"RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"},
            preexec_fn=on_one_core,
            timeout=120,
        )

    def kill(self, name: str) -> None:
        """Kills all processes of a node at once."""
        _kill(self._named[name])


@contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        try:
            yield folder
        finally:
            _kill(Path(folder))


def _kill(folder: Path) -> None:
    """Kills what names a folder. (`ray stop` would end every cluster on the machine, those of other tests too.)"""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            process.kill()

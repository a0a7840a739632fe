"""The referee's end of the player: starting, stopping and continuing it, and the messages in between.

Players are forked from a server process that has torch loaded already, so that one starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from types import TracebackType
from typing import Any, Self

import psutil
import torch.multiprocessing  # registers how tensors travel between processes  # noqa: F401
from torch import nn

from harness.player import Part, play
from harness.records import Failure

LOAD_TIMEOUT_S = 120.0
"""Seconds off the clock that a player may take to start and to import a submission."""

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo is imported by the first optimizer that is made; that takes seconds and is no submission's work.
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "harness.player"])


class PlayerGone(Exception):
    """The player raised, exited or broke the protocol."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class PlayerProcess:
    """A running player. As a context manager it leaves no process of its group behind."""

    def __init__(self, part: Part) -> None:
        self._evaluation_due = _CONTEXT.RawValue("b", 0)
        self._connection, theirs = _CONTEXT.Pipe()
        their_lifeline, self._lifeline = _CONTEXT.Pipe(duplex=False)
        arguments = (part, theirs, their_lifeline, self._evaluation_due)
        self._process = _CONTEXT.Process(target=play, args=arguments)
        # multiprocessing would run the parent's main script again in each child; for a Ray worker that is Ray's.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._process.start()
        theirs.close()
        their_lifeline.close()
        self._hook = "load"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal(signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._lifeline.close()

    def ready_within(self, seconds: float) -> bool:
        """Waits for a message, at most so long; a player that died counts as one."""
        return self._connection.poll(max(0.0, seconds))

    def expect(self, at: str) -> dict[str, Any]:
        """The next message, which must be of this kind. Raises PlayerGone for a failure or a dead player."""
        if at == "loaded" and not self.ready_within(LOAD_TIMEOUT_S):
            message = f"the submission's import took more than {LOAD_TIMEOUT_S:.0f} s"
            raise PlayerGone(Failure(hook="load", kind="Timeout", message=message))
        try:
            message = json.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            raise PlayerGone(self._obituary()) from None
        if message["at"] == "failed":
            raise PlayerGone(Failure(**message["failure"]))
        if message["at"] != at:
            text = f"the player said {message['at']!r} where {at!r} was expected"
            raise PlayerGone(Failure(hook=self._hook, kind="ProtocolError", message=text))
        self._hook = {"loaded": "configure", "configured": "update"}.get(at, self._hook)
        return message

    def hand_over(self, model: nn.Module) -> None:
        """Gives the player the model, whose tensors both processes share from then on."""
        with contextlib.suppress(ConnectionError):  # a dead player is noticed at the next message
            self._connection.send(model)

    def ask_for_evaluation(self) -> None:
        """Asks the player to stop after the step under way."""
        self._evaluation_due.value = 1

    def proceed(self, submission_s: float, border: int | None, value: float | None = None) -> None:
        """Gives leave to train on, up to step `border` or until asked; `value` is what was just evaluated."""
        self._evaluation_due.value = 0
        leave = {"submission_s": submission_s, "border": border, "value": value}
        with contextlib.suppress(ConnectionError):
            self._connection.send_bytes(json.dumps(leave).encode())

    def freeze(self) -> None:
        """Stops the player's whole process group by the kernel; returns once it stands still."""
        self._signal(signal.SIGSTOP)
        process = psutil.Process(self._process.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                time.sleep(0.0002)

    def thaw(self) -> None:
        """Lets the player go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _obituary(self) -> Failure:
        self._process.join(5.0)
        code = self._process.exitcode
        if code is None:
            text = "the player closed its connection"
        elif code < 0:
            text = f"the player was killed by {signal.Signals(-code).name}"
        else:
            text = f"the player exited with code {code}"
        return Failure(hook=self._hook, kind="PlayerExit", message=text)

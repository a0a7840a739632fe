"""The end of a player that runs on this machine: starting, stopping and continuing it, and the messages in between.

Players are forked from a server process that has torch loaded already, so that one starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.player import messages, shared
from harness.player.buffer import SharedBuffer
from harness.player.messages import Continue, Failed, MessageError, Saved
from harness.player.player import PlayerSpec, play, send_files
from harness.player.rank_group import DUE, PAGE_BYTES, WAITING
from harness.system import processes, sandbox
from harness.trial.player_handle import EXIT, MeasurementInvalid, PlayerGone, PlayerHandle
from scoring.records import Failure

_STUCK_S = 30
"""Seconds after which half a message, or one that is not taken, is given up."""

_PAUSED_CPU_S = 0.001
_DYING_S = 1.0
_OUTPUT_SHOWN = 2_000

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo is imported by the first optimizer that is made; that takes seconds and is no submission's work.
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "harness.player.player"])


class PlayerProcess(PlayerHandle):
    """A player that runs on this machine. As a context manager it leaves no process behind."""

    def __init__(self, part: PlayerSpec) -> None:
        super().__init__(part.rank, part.ranks)
        processes.adopt_orphans()
        self._limits = part.sandbox_spec.limits
        self._connection, theirs = _CONTEXT.Pipe()
        their_lifeline, self._lifeline = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=play, args=(theirs, their_lifeline))
        fork(self._process)
        _give_up_after(self._connection, _STUCK_S)
        theirs.close()
        their_lifeline.close()
        self._not_its = processes.children(os.getpid())
        self._tree = processes.ProcessTree(self._process.pid)
        self._cpu_s = 0.0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the player
        page = shared.create(PAGE_BYTES)
        self._page = shared.attach(page)
        with contextlib.suppress(ConnectionError, BlockingIOError):  # a dead player is noticed at the next message
            send_files(self._connection, [self._output.fileno(), page])
            self._connection.send(part)
        os.close(page)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.kill()
        self._process.kill()
        self._process.join()
        while orphans := processes.children(os.getpid()) - self._not_its:
            for pid in orphans:
                processes.ProcessTree(pid).kill()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        self._connection.close()
        self._lifeline.close()
        self._output.close()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def channels(self) -> list[Any]:
        return [self._connection, self._process.sentinel]

    @property
    def waits_for_others(self) -> bool:
        return bool(self._page[WAITING])

    def look(self) -> None:
        if self._tree.exceeds(self._limits.processes):
            text = f"it runs more than the {self._limits.processes} processes that are allowed"
            raise self.failed("TooManyProcesses", text)

    def hear(self) -> None:
        if not self._connection.poll(0):  # what the player started may hold the connection open
            raise self._exit_failure()
        try:
            message = messages.read(self._connection.recv_bytes(messages.LONGEST))
        except (EOFError, ConnectionError):
            raise self._exit_failure() from None
        except (OSError, MessageError) as error:
            raise self.broke_rules(str(error)) from None
        if isinstance(message, Failed):
            raise self.gone(replace(message.failure, output=self.printed()))
        self.take(message)

    def namespaces(self, first: PlayerProcess) -> None:
        """Lets a player that is not the first of its trial move in with that one."""
        namespaces = sandbox.namespaces_of(first.pid)
        with contextlib.suppress(ConnectionError, BlockingIOError):
            send_files(self._connection, namespaces)
        for namespace in namespaces:
            os.close(namespace)

    def invite(self, host: str, port: int) -> None:
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._say([host, port])

    def bind_weights(self, piece: SharedBuffer) -> None:
        self._buffer = piece

    def fetch_weights(self) -> None:
        pass  # it is the memory that the player trains in

    def send_data(self, arrays: Sequence[Path]) -> None:
        with contextlib.ExitStack() as opened, contextlib.suppress(ConnectionError, BlockingIOError):
            files = [opened.enter_context(path.open("rb")) for path in arrays]
            self._say([path.stem for path in arrays])
            send_files(self._connection, [self._buffer.descriptor, *(file.fileno() for file in files)])

    def ask_for_evaluation(self) -> None:
        self._page[DUE] = 1

    def proceed(self, leave: Continue) -> None:
        self._page[DUE] = 0
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._say(asdict(leave))

    def state(self, most: int) -> bytes | None:
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._say({"most": most})
        if not self.ready_within(self._limits.stall_s):
            raise self.gone(Failure(hook="state_dict", kind="Timeout", message="saving its state did not end"))
        if self.expect(Saved).reason is not None:
            return None
        try:
            return self._connection.recv_bytes(most)
        except (EOFError, ConnectionError):
            raise self._exit_failure() from None
        except OSError as error:
            text = f"its state could not be read ({error}), expected at most {most} bytes"
            raise self.broke_rules(text) from None

    def restore(self, state: bytes) -> None:
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._connection.send_bytes(state)

    def freeze(self) -> None:
        try:
            self._tree.stop()
        except processes.Unstoppable as error:
            raise self.failed("TooManyProcesses", str(error)) from None
        self._cpu_s = self._tree.cpu_s()

    def thaw(self) -> None:
        ran_s = self._tree.cpu_s() - self._cpu_s
        if ran_s > _PAUSED_CPU_S:
            self._process.join(_DYING_S)  # to be killed while it stands still takes a process some time, too
            if self._process.exitcode is not None:
                raise self._exit_failure()
            text = f"it ran for {ran_s:.3f} s while it was stopped and its clock stood still"
            raise self.failed("ClockCheat", text)
        self._tree.resume()

    @property
    def worked_s(self) -> float:
        return self._tree.worked_s()

    def _say(self, what: Any) -> None:
        self._connection.send_bytes(json.dumps(what).encode())

    def printed(self) -> str | None:
        size = os.fstat(self._output.fileno()).st_size
        end = os.pread(self._output.fileno(), 4 * _OUTPUT_SHOWN, max(0, size - 4 * _OUTPUT_SHOWN))
        return messages.printable(end.decode(errors="replace")[-_OUTPUT_SHOWN:]) or None

    def _exit_failure(self) -> PlayerGone:
        self._process.join(5.0)
        code = self._process.exitcode
        if code is None:
            text = "the player closed its connection"
        elif code < 0:
            text = f"the player was killed by {signal.Signals(-code).name}"
        else:
            text = f"the player exited with code {code}"
        return self.failed(EXIT, text)


def fork(process: BaseProcess) -> None:
    """Starts a process from the server. Raises Disturbed where that is gone, as on a node that is just dying."""
    # multiprocessing would run the parent's main script again in each child; for a Ray worker that is Ray's.
    vars(sys.modules["__main__"]).pop("__file__", None)
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        raise MeasurementInvalid(f"the server that players are forked from is gone: {error}") from error


def _give_up_after(connection: Connection, seconds: int) -> None:
    """Makes reading and writing raise BlockingIOError where the other side does not do its part for so long."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            channel.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", seconds, 0))

"""The handle of a player on this machine: starting, stopping and continuing its process, and talking to it.

Players are forked from a server process that has torch loaded already, so that one starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from types import TracebackType
from typing import cast

from harness.player import commands, messages, shared
from harness.player.buffer import SharedBuffer
from harness.player.channel import EVALUATION_DUE, FLAG_BYTES, WAITING, send_files
from harness.player.commands import Answer, Command, DataFiles
from harness.player.messages import Failed, MessageError, Saved
from harness.player.player import play
from harness.player.spec import PlayerSpec
from harness.system import processes, sandbox
from harness.system.processes import CoreUse
from harness.trial.player_handle import EXIT, Channel, MeasurementInvalid, PlayerGone, PlayerHandle
from scoring.records import Failure
from workloads.datasets.base import split_files

_STUCK_S = 30
"""Seconds after which half a message, or one that is not taken, is given up."""

_PAUSED_CPU_S = 0.001
_DYING_S = 1.0
_OUTPUT_SHOWN = 2_000

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo is imported by the first optimizer that is made; that takes seconds and is no submission's work.
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "harness.player.player"])


class PlayerProcess(PlayerHandle):
    """A player in a process of this machine, whose weights lie in `buffer`."""

    def __init__(self, spec: PlayerSpec, buffer: SharedBuffer) -> None:
        super().__init__(spec.rank, spec.ranks)
        processes.adopt_orphans()
        self._limits, self._buffer = spec.sandbox_spec.limits, buffer
        self._data = split_files(spec.data, "train")
        self._connection, theirs = _CONTEXT.Pipe()
        their_lifeline, self._lifeline = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=play, args=(theirs, their_lifeline))
        self.pid = fork(self._process)
        _give_up_after(self._connection, _STUCK_S)
        theirs.close()
        their_lifeline.close()
        self._other_children = processes.children(os.getpid())
        self._tree = processes.ProcessTree(self.pid)
        self._cpu_s = 0.0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the player
        flags = shared.create(FLAG_BYTES)
        self._flags = shared.attach(flags)
        with _unless_gone():
            send_files(self._connection, [self._output.fileno(), flags])
            self._connection.send(spec)
        os.close(flags)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.kill()
        self._process.kill()
        self._process.join()
        while orphans := processes.children(os.getpid()) - self._other_children:
            for pid in orphans:
                processes.ProcessTree(pid).kill()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        self._connection.close()
        self._lifeline.close()
        self._output.close()

    def send(self, command: Command[Answer]) -> Answer:
        return cast(Answer, self._execute(command))

    def _execute(self, command: Command[object]) -> object:
        match command:
            case commands.JoinAt():
                self._write(commands.encode(command))
            case commands.EnterNamespaces(pid=first):
                self._enter_namespaces(first)
            case commands.SendWeights() | commands.FetchWeights():
                pass  # the buffer is the memory that the player trains in
            case commands.WriteWeights(data=data):
                self._buffer.write(data)
            case commands.ReadWeights():
                return self._buffer.read()
            case commands.SendData():
                self._send_data()
            case commands.AskForEvaluation():
                self._flags[EVALUATION_DUE] = 1
            case commands.Continue():
                self._flags[EVALUATION_DUE] = 0
                self._write(commands.encode(command))
            case commands.SaveState(most=most):
                self._write(commands.encode(command))
                return self._saved_state(most)
            case commands.RestoreState(state=state):
                self._write(state)
            case commands.Freeze():
                self._freeze()
            case commands.Thaw():
                self._thaw()
            case commands.IsWaiting():
                return bool(self._flags[WAITING])
            case _:
                raise commands.UnknownCommand(f"{type(command).__name__} is no command that a player knows")
        return None

    @property
    def channels(self) -> Sequence[Channel]:
        return [self._connection, self._process.sentinel]

    @property
    def core_use(self) -> CoreUse:
        return self._tree.core_use()

    @property
    def output(self) -> str | None:
        size = os.fstat(self._output.fileno()).st_size
        end = os.pread(self._output.fileno(), 4 * _OUTPUT_SHOWN, max(0, size - 4 * _OUTPUT_SHOWN))
        return messages.printable(end.decode(errors="replace")[-_OUTPUT_SHOWN:]) or None

    def check(self) -> None:
        if self._tree.exceeds(self._limits.processes):
            text = f"it runs more than the {self._limits.processes} processes that are allowed"
            raise self.failed("TooManyProcesses", text)

    def receive(self) -> None:
        if not self._connection.poll(0):  # what the player started may hold the connection open
            raise self._exit_failure()
        try:
            message = messages.decode(self._connection.recv_bytes(messages.LONGEST))
        except (EOFError, ConnectionError):
            raise self._exit_failure() from None
        except (OSError, MessageError) as error:
            raise self.broke_rules(str(error)) from None
        if isinstance(message, Failed):
            raise self.gone(replace(message.failure, output=self.output))
        self._accept(message)

    def _write(self, data: bytes) -> None:
        with _unless_gone():
            self._connection.send_bytes(data)

    def _enter_namespaces(self, first: int) -> None:
        descriptors = sandbox.namespaces_of(first)
        with _unless_gone():
            send_files(self._connection, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _send_data(self) -> None:
        with contextlib.ExitStack() as opened, _unless_gone():
            files = [opened.enter_context(path.open("rb")) for path in self._data]
            self._connection.send_bytes(commands.encode(DataFiles(names=[path.stem for path in self._data])))
            send_files(self._connection, [self._buffer.descriptor, *(file.fileno() for file in files)])

    def _saved_state(self, most: int) -> bytes | None:
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

    def _freeze(self) -> None:
        try:
            self._tree.stop()
        except processes.Unstoppable as error:
            raise self.failed("TooManyProcesses", str(error)) from None
        self._cpu_s = self._tree.cpu_s()

    def _thaw(self) -> None:
        ran_s = self._tree.cpu_s() - self._cpu_s
        if ran_s > _PAUSED_CPU_S:
            self._process.join(_DYING_S)  # to be killed while it stands still takes a process some time, too
            if self._process.exitcode is not None:
                raise self._exit_failure()
            text = f"it ran for {ran_s:.3f} s while it was stopped and its clock stood still"
            raise self.failed("ClockCheat", text)
        self._tree.resume()

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


def fork(process: ForkServerProcess) -> int:
    """Starts a process from the server and returns its number.

    Raises MeasurementInvalid where the server is gone, as on a node that is just dying.
    """
    # multiprocessing would run the parent's main script again in each child; for a Ray worker that is Ray's.
    vars(sys.modules["__main__"]).pop("__file__", None)
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        raise MeasurementInvalid(f"the server that players are forked from is gone: {error}") from error
    assert process.pid is not None
    return process.pid


def _unless_gone() -> contextlib.suppress:
    """Suppresses that a player takes nothing more: one that is dead is noticed when its next message is due."""
    return contextlib.suppress(ConnectionError, BlockingIOError)


def _give_up_after(connection: Connection, seconds: int) -> None:
    """Makes reading and writing raise BlockingIOError where the other side does not do its part for so long."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            channel.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", seconds, 0))

"""The referee's end of the player: starting, stopping and continuing it, and the messages in between.

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
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from harness import messages, processes, shared
from harness.clock import wall_clock
from harness.errors import PacerError
from harness.messages import Configured, Confined, Failed, Housed, Leave, Loaded, Message, MessageError, Saved
from harness.player import Part, play, send_files
from harness.ranks import DUE, PAGE_BYTES, WAITING
from harness.records import Failure

LOAD_TIMEOUT_S = 120.0
"""Seconds off the clock that a player may take to start and to import a submission."""

_LOOK_EVERY_S = 0.5
_STILL_S = 2.0
"""A sleep that takes so much longer than asked for was not the referee's alone: the machine stood still."""

_STUCK_S = 30
"""Seconds after which half a message, or one that is not taken, is given up."""

_PAUSED_CPU_S = 0.001
_OUTPUT_SHOWN = 2_000

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo is imported by the first optimizer that is made; that takes seconds and is no submission's work.
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "harness.player"])

_M = TypeVar("_M", bound=Message)


class PlayerGone(Exception):
    """The player raised, exited or broke the rules."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Disturbed(PacerError):
    """Something beside the submission spoilt a measurement: the trial has to be run again."""


class PlayerProcess:
    """A running player. As a context manager it leaves no process behind."""

    def __init__(self, part: Part) -> None:
        processes.adopt_orphans()
        self._limits = part.cell.limits
        self._rank, self._ranks = part.rank, part.ranks
        self._connection, theirs = _CONTEXT.Pipe()
        their_lifeline, self._lifeline = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=play, args=(theirs, their_lifeline))
        fork(self._process)
        _give_up_after(self._connection, _STUCK_S)
        theirs.close()
        their_lifeline.close()
        self._not_its = processes.children(os.getpid())
        self._tree = processes.ProcessTree(self._process.pid)
        self._hook = "load"
        self._cpu_s = 0.0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the player
        self._heard: Message | None = None
        page = shared.create(PAGE_BYTES)
        self._page = shared.attach(page)
        with contextlib.suppress(ConnectionError, BlockingIOError):  # a dead player is noticed at the next message
            send_files(self._connection, [self._output.fileno(), page])
            self._connection.send(part)
        os.close(page)

    def __enter__(self) -> Self:
        return self

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
        """What `multiprocessing.connection.wait` finds ready once the player has said something or has died."""
        return [self._connection, self._process.sentinel]

    @property
    def heard(self) -> bool:
        """Whether a message was taken in that nobody has asked for yet."""
        return self._heard is not None

    @property
    def waits_for_others(self) -> bool:
        """Whether it says that it waits for other players of its trial."""
        return bool(self._page[WAITING])

    def ready_within(self, seconds: float) -> bool:
        """Waits for a message, at most so long; a player that died counts as one.

        Raises Disturbed where the machine stood still meanwhile, PlayerGone for too many processes.
        """
        return self.heard or bool(ready_among([self], seconds))

    def look(self) -> None:
        """Raises PlayerGone where it runs too many processes."""
        if self._tree.exceeds(self._limits.processes):
            text = f"it runs more than the {self._limits.processes} processes that are allowed"
            raise self.gone(Failure(hook=self._hook, kind="TooManyProcesses", message=text))

    def timed_out(self, allowed_s: float) -> PlayerGone:
        """What there is to raise for a player that takes too long to start and to load a submission."""
        message = f"the submission's import took more than {allowed_s:.0f} s"
        return self.gone(Failure(hook="load", kind="Timeout", message=message, output=self._printed()))

    def hear(self) -> None:
        """Takes in the message that is there. Raises PlayerGone for a failure or a dead player."""
        if not self._connection.poll(0):  # what the player started may hold the connection open
            raise self.gone(self._obituary())
        try:
            message = messages.read(self._connection.recv_bytes(messages.LONGEST))
        except (EOFError, ConnectionError):
            raise self.gone(self._obituary()) from None
        except (OSError, MessageError) as error:
            raise self.gone(self._broken(str(error))) from None
        if isinstance(message, Failed):
            failure = message.failure
            raise self.gone(Failure(**vars(failure) | {"output": self._printed()}))
        self._heard = message

    def expect(self, kind: type[_M]) -> _M:
        """The next message, which must be of this kind. Raises PlayerGone for a failure or a dead player."""
        if kind in (Housed, Confined, Loaded) and not self.ready_within(LOAD_TIMEOUT_S):
            raise self.timed_out(LOAD_TIMEOUT_S)
        if self._heard is None:
            self.hear()
        message, self._heard = self._heard, None
        if not isinstance(message, kind):
            raise self.gone(self._broken(f"it said {type(message).__name__} where {kind.__name__} was expected"))
        self._hook = {Loaded: "configure", Configured: "update"}.get(kind, self._hook)
        return message

    def house(self, namespaces: list[int]) -> None:
        """Lets a player that is not the first of its trial move in with that one, by `sandbox.house_of`."""
        with contextlib.suppress(ConnectionError, BlockingIOError):
            send_files(self._connection, namespaces)

    def hand_over(self, memory: int, arrays: Sequence[Path]) -> None:
        """Gives the player the shared memory with the weights, and the files of the training data."""
        with contextlib.ExitStack() as opened, contextlib.suppress(ConnectionError, BlockingIOError):
            files = [opened.enter_context(path.open("rb")) for path in arrays]
            self._say([path.stem for path in arrays])
            send_files(self._connection, [memory, *(file.fileno() for file in files)])

    def ask_for_evaluation(self) -> None:
        """Asks the player to stop after the step under way."""
        self._page[DUE] = 1

    def proceed(self, leave: Leave) -> None:
        """Gives leave to train on."""
        self._page[DUE] = 0
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._say(asdict(leave))

    def state(self, most: int) -> bytes | None:
        """The state of a player that asked to have it saved: bytes for another player, opaque to everybody else.

        None where it is of a kind that cannot be saved, or of more than `most` bytes.
        """
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._say({"most": most})
        if not self.ready_within(self._limits.stall_s):
            raise self.gone(Failure(hook="state_dict", kind="Timeout", message="saving its state did not end"))
        if self.expect(Saved).reason is not None:
            return None
        try:
            return self._connection.recv_bytes(most)
        except (EOFError, ConnectionError):
            raise self.gone(self._obituary()) from None
        except OSError as error:
            text = f"its state could not be read ({error}), expected at most {most} bytes"
            raise self.gone(self._broken(text)) from None

    def restore(self, state: bytes) -> None:
        """Gives a player the state to go on from."""
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self._connection.send_bytes(state)

    def freeze(self) -> None:
        """Stops the player and all that it started by the kernel; returns once they stand still."""
        try:
            self._tree.stop()
        except processes.Unstoppable as error:
            raise self.gone(Failure(hook=self._hook, kind="TooManyProcesses", message=str(error))) from None
        self._cpu_s = self._tree.cpu_s()

    def thaw(self) -> None:
        """Lets the player go on. Raises PlayerGone where something of it ran since it was stopped."""
        ran_s = self._tree.cpu_s() - self._cpu_s
        if ran_s > _PAUSED_CPU_S:
            text = f"it ran for {ran_s:.3f} s while it was stopped and its clock stood still"
            raise self.gone(Failure(hook=self._hook, kind="ClockCheat", message=text))
        self._tree.resume()

    def _say(self, what: Any) -> None:
        self._connection.send_bytes(json.dumps(what).encode())

    def gone(self, failure: Failure) -> PlayerGone:
        """What there is to raise for a failure of this player's, which is named where it is one of several."""
        if self._ranks > 1:
            failure = replace(failure, message=f"{self.name}: {failure.message}")
        return PlayerGone(failure)

    @property
    def name(self) -> str:
        """Which of the trial's players it is."""
        return f"rank {self._rank} of {self._ranks}"

    def _printed(self) -> str | None:
        """The end of what the player printed, None for nothing."""
        size = os.fstat(self._output.fileno()).st_size
        end = os.pread(self._output.fileno(), 4 * _OUTPUT_SHOWN, max(0, size - 4 * _OUTPUT_SHOWN))
        return messages.printable(end.decode(errors="replace")[-_OUTPUT_SHOWN:]) or None

    def _broken(self, text: str) -> Failure:
        return Failure(hook=self._hook, kind="ProtocolError", message=text, output=self._printed())

    def _obituary(self) -> Failure:
        self._process.join(5.0)
        code = self._process.exitcode
        if code is None:
            text = "the player closed its connection"
        elif code < 0:
            text = f"the player was killed by {signal.Signals(-code).name}"
        else:
            text = f"the player exited with code {code}"
        return Failure(hook=self._hook, kind="PlayerExit", message=text, output=self._printed())


def fork(process: BaseProcess) -> None:
    """Starts a process from the server. Raises Disturbed where that is gone, as on a node that is just dying."""
    # multiprocessing would run the parent's main script again in each child; for a Ray worker that is Ray's.
    vars(sys.modules["__main__"]).pop("__file__", None)
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        raise Disturbed(f"the server that players are forked from is gone: {error}") from error


def ready_among(players: Sequence[PlayerProcess], seconds: float) -> list[PlayerProcess]:
    """Those that have said something or died, once one has; none where that takes longer than so many seconds.

    Raises Disturbed where the machine stood still meanwhile, PlayerGone for too many processes.
    """
    until = wall_clock() + max(0.0, seconds)
    while True:
        before = wall_clock()
        slice_s = min(_LOOK_EVERY_S, max(0.0, until - before))
        found = wait([channel for player in players for channel in player.channels], slice_s)
        now = wall_clock()
        if now - before > slice_s + _STILL_S:
            raise Disturbed(f"the machine stood still for {now - before:.1f} s in the middle of a measurement")
        if found or now >= until:
            return [player for player in players if any(channel in found for channel in player.channels)]
        for player in players:
            player.look()


def _give_up_after(connection: Connection, seconds: int) -> None:
    """Makes reading and writing raise BlockingIOError where the other side does not do its part for so long."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            channel.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", seconds, 0))

"""The handle of a player on another machine: it forwards commands to the remote host that keeps the player there.

The remote host (harness.trial.remote_host) is as trusted as the referee. It sends a `Report` whenever it has one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, cast

from harness.player.buffer import SharedBuffer
from harness.player.commands import Answer, Command, FetchWeights, ReadWeights, SendWeights, WriteWeights
from harness.player.messages import Message
from harness.protocol.trial import Trial
from harness.trial.player_handle import Channel, MeasurementInvalid, PlayerGone, PlayerHandle
from scoring.records import Failure

_SILENT_S, _PROBE_EVERY_S, _PROBES = 10, 5, 3
"""A machine that is silent for so long is probed, so often, before it counts as gone."""


@dataclass(frozen=True)
class Received:
    """The player sent a message."""

    message: Message


@dataclass(frozen=True)
class Answered:
    """The last awaited command is done."""

    answer: Any


@dataclass(frozen=True)
class Gone:
    """The player is gone."""

    failure: Failure


@dataclass(frozen=True)
class Spoilt:
    """The measurement is invalid for a reason that is not the player's."""

    reason: str


Report = Received | Answered | Gone | Spoilt
"""What a remote host sends; nothing follows the last two."""


class RemoteSlot(Protocol):
    """A device on another machine, for one player."""

    def open(self, trial: Trial, rank: int, host: str) -> Connection:
        """Has a remote host start player number `rank` there, which will reach the first one at `host`.

        Returns a connection to the remote host. Raises MeasurementInvalid.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RemoteSlots:
    """Where those players of a trial run that are not on its referee's machine, which is known as `host`."""

    host: str
    kept: Sequence[RemoteSlot]


class RemotePlayer(PlayerHandle):
    """A player on another machine, whose weights `buffer` mirrors. Raises MeasurementInvalid where that machine is
    gone."""

    def __init__(self, connection: Connection, buffer: SharedBuffer, rank: int, ranks: int) -> None:
        super().__init__(rank, ranks)
        self._connection, self._buffer = connection, buffer
        set_network_options(connection)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def send(self, command: Command[Answer]) -> Answer:
        match command:
            case SendWeights():
                self._forward(WriteWeights(data=self._buffer.read()))
            case FetchWeights():
                self._buffer.write(self._forward(ReadWeights()))
            case _:
                return self._forward(command)
        return cast(Answer, None)

    @property
    def channels(self) -> Sequence[Channel]:
        return [self._connection]

    def check(self) -> None:
        pass  # the remote host does

    def receive(self) -> None:
        report = self._report()
        assert isinstance(report, Received), "no command is awaited"
        self._accept(report.message)

    def _forward(self, command: Command[Answer]) -> Answer:
        with suppress(ConnectionError):  # which is noticed when no report comes
            self._connection.send(command)
        while command.awaited:
            match self._report():
                case Answered(answer=answer):
                    return answer
                case Received(message=message):
                    self._accept(message)
        return cast(Answer, None)

    def _report(self) -> Received | Answered:
        try:
            report: Report = self._connection.recv()
        except (EOFError, OSError) as error:
            raise MeasurementInvalid(f"the machine of {self.name} is gone ({error!r})") from None
        match report:
            case Gone(failure=failure):
                raise PlayerGone(failure)
            case Spoilt(reason=reason):
                raise MeasurementInvalid(f"{self.name}: {reason}")
        return report


def set_network_options(connection: Connection) -> None:
    """Has a network connection send short messages without delay, and notice when the other machine is gone."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _SILENT_S),
            ("TCP_KEEPINTVL", _PROBE_EVERY_S),
            ("TCP_KEEPCNT", _PROBES),
        ):
            if hasattr(socket, name):  # some systems have not all of them
                channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

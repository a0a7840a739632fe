"""The referee's end of a player on another machine, over the connection to the outpost that keeps it there.

The outpost (harness.trial.remote_host) is as trusted as the referee. It sends ("heard", message) when the player
says something, ("gone", failure) or ("disturbed", text) at the end, and ("answer", value) to what asks for one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from harness.player.buffer import SharedBuffer
from harness.player.messages import Continue
from harness.protocol.trial import Trial
from harness.trial.player_handle import MeasurementInvalid, PlayerGone, PlayerHandle

_SILENT_S, _ASK_EVERY_S, _ASKED = 10, 5, 3
"""A machine that is silent for so long is asked whether it is there, so often, before it counts as gone."""


class RemoteSlot(Protocol):
    """A place on another machine that keeps a player."""

    def open(self, trial: Trial, rank: int, host: str) -> Connection:
        """Has an outpost start player number `rank` there, which will reach the first one at `host`.

        Returns a connection to the outpost. Raises Disturbed.
        """


@dataclass(frozen=True, kw_only=True)
class RemoteSlots:
    """Where those players of a trial are kept that are not on its referee's machine, which is known as `host`."""

    host: str
    kept: Sequence[RemoteSlot]


class RemotePlayer(PlayerHandle):
    """A player that runs on another machine. Raises Disturbed where that is gone."""

    def __init__(self, connection: Connection, rank: int, ranks: int) -> None:
        super().__init__(rank, ranks)
        self._connection = connection
        answers_at_once(connection)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def channels(self) -> list[Any]:
        return [self._connection]

    @property
    def waits_for_others(self) -> bool:
        return self._ask("waits_for_others")

    def look(self) -> None:
        pass  # the outpost does

    def hear(self) -> None:
        self.take(self._receive()[1])

    def invite(self, host: str, port: int) -> None:
        self._tell("invite", host, port)

    def bind_weights(self, piece: SharedBuffer) -> None:
        self._buffer = piece
        self._tell("bind_weights", piece.read())

    def fetch_weights(self) -> None:
        self._buffer.write(self._ask("fetch_weights"))

    def send_data(self, arrays: Sequence[Path]) -> None:
        self._tell("send_data")  # of its own machine's files

    def ask_for_evaluation(self) -> None:
        self._tell("ask_for_evaluation")

    def proceed(self, leave: Continue) -> None:
        self._tell("proceed", leave)

    def state(self, most: int) -> bytes | None:
        return self._ask("state", most)

    def restore(self, state: bytes) -> None:
        self._tell("restore", state)

    def freeze(self) -> None:
        self._ask("freeze")

    def thaw(self) -> None:
        self._ask("thaw")

    def _tell(self, *what: Any) -> None:
        with suppress(ConnectionError):  # which is noticed when nothing more is heard
            self._connection.send(what)

    def _ask(self, *what: Any) -> Any:
        self._tell(*what)
        while True:
            kind, value = self._receive()
            if kind == "answer":
                return value
            self.take(value)

    def _receive(self) -> tuple[str, Any]:
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise MeasurementInvalid(f"the machine of {self.name} is gone ({error!r})") from None
        if kind == "gone":
            raise PlayerGone(value)
        if kind == "disturbed":
            raise MeasurementInvalid(f"{self.name}: {value}")
        return kind, value


def answers_at_once(connection: Connection) -> None:
    """Sends short words over a network connection without delay, and notices when the other machine is gone."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("KEEPIDLE", _SILENT_S), ("KEEPINTVL", _ASK_EVERY_S), ("KEEPCNT", _ASKED)):
            if hasattr(socket, f"TCP_{name}"):  # some systems have not all of them
                channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"), value)

"""The player's side of the connection to its referee: messages out, commands and open files in."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

from harness.player import commands, messages
from harness.player.commands import Continue, DataFiles, JoinAt, SaveState

EVALUATION_DUE, WAITING, FLAG_BYTES = 0, 1, 2
"""Offsets in the memory of flags that referee and player share: whether the referee asks for an evaluation, and
whether the player waits for other ranks; and the bytes of that memory."""

_MOST_FILES = 64

_C = TypeVar("_C", JoinAt, DataFiles, Continue, SaveState)


class RefereeChannel:
    """The connection to the referee, and the flags that are shared with it."""

    def __init__(self, connection: Connection, flags: mmap.mmap) -> None:
        self._connection, self.flags = connection, flags

    @property
    def evaluation_due(self) -> bool:
        """Whether the referee asks for an evaluation."""
        return bool(self.flags[EVALUATION_DUE])

    def send(self, message: messages.Message) -> None:
        """Sends the referee a message."""
        self._connection.send_bytes(messages.encode(message))

    def send_bytes(self, data: bytes) -> None:
        """Sends the referee a state, which follows the message that announces it."""
        self._connection.send_bytes(data)

    def receive(self, kind: type[_C]) -> _C:
        """Waits for the referee's next command, which is of this kind."""
        return commands.decode(kind, self._connection.recv_bytes())

    def receive_bytes(self) -> bytes:
        """Waits for a state to go on from."""
        return self._connection.recv_bytes()

    def receive_files(self) -> list[int]:
        """Descriptors of the open files that the referee sends next."""
        return receive_files(self._connection)


def receive_files(connection: Connection) -> list[int]:
    """Descriptors of the open files that the other side sent with `send_files`."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        return list(socket.recv_fds(channel, 1, _MOST_FILES)[1])


def send_files(connection: Connection, descriptors: Sequence[int]) -> None:
    """Gives the other side these open files."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        socket.send_fds(channel, [b"f"], list(descriptors))

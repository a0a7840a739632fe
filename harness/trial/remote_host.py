"""The outpost: a trusted process that keeps a player on another machine than its referee's.

It starts the player, locks it up, stops it and lets it go on as the referee says over a connection, and passes on
what the player says; harness.trial.remote_player is the other end.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import torch

from harness.player import devices
from harness.player.buffer import SharedBuffer
from harness.player.messages import Continue
from harness.protocol.trial import Trial
from harness.system import packages
from harness.system.machine import Device
from harness.trial.player_handle import LOOK_EVERY_S, PlayerGone, supervised, went_with_machine
from harness.trial.player_process import PlayerProcess
from harness.trial.player_specs import player_specs
from harness.trial.remote_player import answers_at_once
from pacer.errors import PacerError
from workloads import registry
from workloads.datasets.base import DatasetError, split_files


class Door:
    """Where a referee comes in, who has the key."""

    def __init__(self, host: str) -> None:
        """Opens a port at an address of this machine."""
        self.key = secrets.token_bytes(32)
        self._listener = Listener((host, 0), authkey=self.key)
        self.address: tuple[str, int] = self._listener.address

    def answer(self) -> Connection:
        """The connection to the first who has the key; nobody comes in after that."""
        try:
            while True:
                with suppress(AuthenticationError, EOFError, ConnectionError):  # a stranger
                    return self._listener.accept()
        finally:
            self._listener.close()


def keep(connection: Connection, trial: Trial, rank: int, host: str, place: Device) -> None:
    """Keeps player number `rank` of a trial on a device for as long as its referee is there, who hears what goes
    wrong here."""
    parent = os.getppid()
    answers_at_once(connection)
    with connection, suppress(EOFError, ConnectionError):  # the trial is over
        try:
            _attend(connection, trial, rank, host, place)
        except PlayerGone as gone:
            dying = went_with_machine(gone.failure, parent)
            connection.send(("disturbed", "its machine is dying") if dying else ("gone", gone.failure))
        except (PacerError, DatasetError, OSError) as error:
            connection.send(("disturbed", str(error)))
        while True:  # what is said to a player that is no more, until the referee has heard
            connection.recv()


def _attend(connection: Connection, trial: Trial, rank: int, host: str, place: Device) -> None:
    workload = registry.find(trial.suite, trial.workload)
    folder = workload.dataset.prepare(trial.data.absolute())
    further = packages.install(trial.submission, trial.data.absolute())
    with tempfile.TemporaryDirectory(prefix="pacer-trial-") as scratch:
        (part,) = player_specs(
            trial, workload, folder, [place], Path(scratch).resolve(), further, first=rank, host=host
        )
        with PlayerProcess(part) as player:
            _RemoteHost(connection, player, folder, devices.of(place.gpu)).attend()


class _RemoteHost:
    """What the referee may say; each method is named as that of the player's end which it serves."""

    def __init__(self, connection: Connection, player: PlayerProcess, folder: Path, device: torch.device) -> None:
        self._connection, self._player, self._folder, self._device = connection, player, folder, device
        self._buffer: SharedBuffer | None = None

    def attend(self) -> None:
        """Does what it is told until one end fails."""
        while True:
            found = supervised([self._connection, *self._player.channels], LOOK_EVERY_S)
            if self._connection in found:
                name, *arguments = self._connection.recv()
                getattr(self, name)(*arguments)
            elif found:
                self._player.hear()
                self._connection.send(("heard", self._player.next()))
            else:
                self._player.look()

    def invite(self, host: str, port: int) -> None:
        self._player.invite(host, port)

    def bind_weights(self, weights: bytes) -> None:
        if self._buffer is None:
            self._buffer = SharedBuffer.create(len(weights), self._device)
            self._player.bind_weights(self._buffer)
        self._buffer.write(weights)

    def fetch_weights(self) -> None:
        assert self._buffer is not None
        self._answer(self._buffer.read())

    def send_data(self) -> None:
        self._player.send_data(split_files(self._folder, "train"))

    def ask_for_evaluation(self) -> None:
        self._player.ask_for_evaluation()

    def proceed(self, leave: Continue) -> None:
        self._player.proceed(leave)

    def restore(self, state: bytes) -> None:
        self._player.restore(state)

    def waits_for_others(self) -> None:
        self._answer(self._player.waits_for_others)

    def state(self, most: int) -> None:
        self._answer(self._player.state(most))

    def freeze(self) -> None:
        self._player.freeze()
        self._answer(None)

    def thaw(self) -> None:
        self._player.thaw()
        self._answer(None)

    def _answer(self, value: Any) -> None:
        self._connection.send(("answer", value))

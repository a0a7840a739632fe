"""The remote host: a trusted process that keeps a player on another machine than its referee's.

It starts the player, has it do what the referee commands over a connection, and reports what the player sends;
harness.trial.remote_player is the other end.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import closing, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import NoReturn, cast

from harness.player import devices, weights
from harness.player.buffer import SharedBuffer
from harness.player.commands import Command
from harness.protocol.trial import Trial
from harness.system import packages
from harness.system.machine import Device
from harness.trial.player_handle import CHECK_EVERY_S, PlayerGone, wait_for, went_with_machine
from harness.trial.player_process import PlayerProcess
from harness.trial.player_specs import player_specs
from harness.trial.remote_player import Answered, Gone, Received, Report, Spoilt, set_network_options
from pacer.errors import PacerError
from workloads.datasets.base import DatasetError


class RefereeListener:
    """Waits for a referee, which must have the key."""

    def __init__(self, host: str) -> None:
        """Opens a port at an address of this machine."""
        self.key = secrets.token_bytes(32)
        self._listener = Listener((host, 0), authkey=self.key)
        self.address = cast(tuple[str, int], self._listener.address)

    def accept(self) -> Connection:
        """The first connection with the key. Connections without it are rejected, and all that come later."""
        try:
            while True:
                with suppress(AuthenticationError, EOFError, ConnectionError):
                    return self._listener.accept()
        finally:
            self._listener.close()


def serve(connection: Connection, trial: Trial, rank: int, host: str, device: Device) -> None:
    """Keeps player number `rank` of a trial on a device for as long as its referee is there.

    The referee gets a report of what goes wrong here.
    """
    set_network_options(connection)
    with connection, suppress(EOFError, ConnectionError):  # the trial is over
        connection.send(_serve_until_failure(connection, trial, rank, host, device))
        while True:  # commands to a player that is gone, until the referee has read that
            connection.recv()


def _serve_until_failure(connection: Connection, trial: Trial, rank: int, host: str, device: Device) -> Report:
    parent = os.getppid()
    try:
        _serve(connection, trial, rank, host, device)
    except PlayerGone as gone:
        if went_with_machine(gone.failure, parent):
            return Spoilt("its machine is dying")
        return Gone(gone.failure)
    except (PacerError, DatasetError, OSError) as error:
        return Spoilt(str(error))


def _serve(connection: Connection, trial: Trial, rank: int, host: str, device: Device) -> NoReturn:
    workload = trial.find_workload()
    folder = workload.dataset.prepare(trial.data.absolute())
    further = packages.install(trial.submission, trial.data.absolute())
    size = weights.size_of(workload.model())
    with (
        tempfile.TemporaryDirectory(prefix="pacer-trial-") as scratch,
        closing(SharedBuffer.create(size, devices.of(device.gpu))) as buffer,
    ):
        (spec,) = player_specs(
            trial, workload, folder, [device], Path(scratch).resolve(), further, first=rank, host=host
        )
        with PlayerProcess(spec, buffer) as player:
            _execute_commands(connection, player)


def _execute_commands(connection: Connection, player: PlayerProcess) -> NoReturn:
    """Does what the referee commands until one end fails."""
    while True:
        ready = wait_for([connection, *player.channels], CHECK_EVERY_S)
        if connection in ready:
            command: Command[object] = connection.recv()
            answer = player.send(command)
            if command.awaited:
                connection.send(Answered(answer))
        elif ready:
            player.receive()
            connection.send(Received(player.next()))
        else:
            player.check()

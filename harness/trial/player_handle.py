"""The referee's end of a player, wherever that runs: what it has said, how to wait for it, how it may fail."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from harness.player.buffer import SharedBuffer
from harness.player.messages import Configured, Confined, Continue, Loaded, Message, RendezvousReady
from harness.trial.clock import wall_clock
from pacer.errors import PacerError
from scoring.records import Failure

LOAD_TIMEOUT_S = 120.0
"""Seconds off the clock that a player may take to start and to import a submission."""

LOOK_EVERY_S = 0.5
"""Seconds between two looks at players that say nothing."""

EXIT = "PlayerExit"
"""The kind of failure of a player that ended without a word."""

_LAST_S = 1.0
"""Seconds in which a process of ours goes, too, on a machine that is dying."""

_STILL_S = 2.0
"""A sleep that takes so much longer than asked for was not the referee's alone: the machine stood still."""

_M = TypeVar("_M", bound=Message)


class PlayerGone(Exception):
    """The player raised, exited or broke the rules."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class MeasurementInvalid(PacerError):
    """Something beside the submission spoilt a measurement: the trial has to be run again."""


def went_with_machine(failure: Failure, parent: int) -> bool:
    """Whether a player ended because its machine, or Ray on it, is dying, which takes one process after another.

    The parent of this process, of this number before, is then gone, or goes within a second.
    """
    if failure.kind != EXIT:
        return False
    until = wall_clock() + _LAST_S
    while os.getppid() == parent and wall_clock() < until:
        time.sleep(0.05)
    return os.getppid() != parent


class PlayerHandle(AbstractContextManager["PlayerHandle"]):
    """The end of player number `rank` of `ranks`. All of it raises PlayerGone for a failure or a dead player.

    As a context manager it leaves no process behind.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        self._rank, self._ranks = rank, ranks
        self._heard: Message | None = None
        self._hook = "load"

    @property
    def name(self) -> str:
        """Which of the trial's players it is."""
        return f"rank {self._rank} of {self._ranks}"

    @property
    def heard(self) -> bool:
        """Whether a message was taken in that nobody has asked for yet."""
        return self._heard is not None

    def ready_within(self, seconds: float) -> bool:
        """Waits for a message, at most so long; a player that died counts as one. Raises as `ready_among`."""
        return self.heard or bool(ready_among([self], seconds))

    def expect(self, kind: type[_M]) -> _M:
        """The next message, which must be of this kind."""
        if kind in (RendezvousReady, Confined, Loaded) and not self.ready_within(LOAD_TIMEOUT_S):
            raise self.timed_out(LOAD_TIMEOUT_S)
        message = self.next()
        if not isinstance(message, kind):
            raise self.broke_rules(f"it said {type(message).__name__} where {kind.__name__} was expected")
        return message

    def next(self) -> Message:
        """The next message, whatever it says."""
        if self._heard is None:
            self.hear()
        message, self._heard = self._heard, None
        assert message is not None
        return message

    def take(self, message: Message) -> None:
        """Takes in a message."""
        self._heard = message
        self._hook = {Loaded: "configure", Configured: "update"}.get(type(message), self._hook)

    def broke_rules(self, text: str) -> PlayerGone:
        """What there is to raise for a player that says what it may not say."""
        return self.failed("ProtocolError", text)

    def timed_out(self, allowed_s: float) -> PlayerGone:
        """What there is to raise for a player that takes too long to start and to load a submission."""
        return self.failed("Timeout", f"the submission's import took more than {allowed_s:.0f} s")

    def gone(self, failure: Failure) -> PlayerGone:
        """What there is to raise for a failure of this player's, which is named where it is one of several."""
        if self._ranks > 1:
            failure = replace(failure, message=f"{self.name}: {failure.message}")
        return PlayerGone(failure)

    def failed(self, kind: str, message: str) -> PlayerGone:
        """What there is to raise for a failure in the hook that it is in."""
        return self.gone(Failure(hook=self._hook, kind=kind, message=message, output=self.printed()))

    def printed(self) -> str | None:
        """The end of what the player printed, None for nothing and where that is not to be had."""
        return None

    @property
    @abstractmethod
    def channels(self) -> list[Any]:
        """What `multiprocessing.connection.wait` finds ready once the player has said something or has died."""

    @property
    @abstractmethod
    def waits_for_others(self) -> bool:
        """Whether it says that it waits for other players of its trial."""

    @abstractmethod
    def look(self) -> None:
        """Raises PlayerGone where it runs too many processes."""

    @abstractmethod
    def hear(self) -> None:
        """Takes in the message that is there."""

    @abstractmethod
    def invite(self, host: str, port: int) -> None:
        """Tells a player that is not the first where on the network that one waits for the others."""

    @abstractmethod
    def bind_weights(self, piece: SharedBuffer) -> None:
        """Has the weights in this memory be the player's, as they are now."""

    @abstractmethod
    def fetch_weights(self) -> None:
        """Has the memory hold the player's weights as they are now."""

    @abstractmethod
    def send_data(self, arrays: Sequence[Path]) -> None:
        """Gives the player its weights, and the files of the training data."""

    @abstractmethod
    def ask_for_evaluation(self) -> None:
        """Asks the player to stop after the step under way."""

    @abstractmethod
    def proceed(self, leave: Continue) -> None:
        """Gives leave to train on."""

    @abstractmethod
    def state(self, most: int) -> bytes | None:
        """The state of a player that asked to have it saved: bytes for another player, opaque to everybody else.

        None where it is of a kind that cannot be saved, or of more than `most` bytes.
        """

    @abstractmethod
    def restore(self, state: bytes) -> None:
        """Gives a player the state to go on from."""

    @abstractmethod
    def freeze(self) -> None:
        """Stops the player and all that it started by the kernel; returns once they stand still."""

    @abstractmethod
    def thaw(self) -> None:
        """Lets the player go on. Raises PlayerGone where something of it ran since it was stopped."""

    @property
    def worked_s(self) -> float:
        """Seconds of this machine's cores that it has used; in ticks."""
        return 0.0


def ready_among(players: Sequence[PlayerHandle], seconds: float) -> list[PlayerHandle]:
    """Those that have said something or died, once one has; none where that takes longer than so many seconds.

    Raises Disturbed where the machine stood still meanwhile, PlayerGone for too many processes.
    """
    until = wall_clock() + max(0.0, seconds)
    while True:
        left_s = max(0.0, until - wall_clock())
        found = supervised(
            (channel for player in players for channel in player.channels), min(LOOK_EVERY_S, left_s)
        )
        if found or wall_clock() >= until:
            return [player for player in players if any(channel in found for channel in player.channels)]
        for player in players:
            player.look()


def supervised(channels: Iterable[Any], seconds: float) -> list[Any]:
    """Those that are ready, once one is or so many seconds are over.

    Raises Disturbed where the machine stood still meanwhile.
    """
    before = wall_clock()
    found = wait(list(channels), seconds)
    took_s = wall_clock() - before
    if took_s > seconds + _STILL_S:
        raise MeasurementInvalid(f"the machine stood still for {took_s:.1f} s in the middle of a measurement")
    return found

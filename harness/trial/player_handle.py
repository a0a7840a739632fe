"""The referee's handle of a player, wherever that runs: its messages, how to wait for them, and how it may fail."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self, TypeVar

from harness.player.commands import Answer, Command
from harness.player.messages import Configured, Confined, Loaded, Message, RendezvousReady
from harness.system.processes import CoreUse
from harness.trial.clock import wall_clock
from pacer.errors import PacerError
from scoring.records import Failure

LOAD_TIMEOUT_S = 120.0
"""Seconds off the clock that a player may take to start and to import a submission."""

CHECK_EVERY_S = 0.5
"""Seconds between two checks of players that send nothing."""

EXIT = "PlayerExit"
"""The kind of failure of a player that ended without a message."""

Channel = Connection | int
"""What `multiprocessing.connection.wait` takes."""

_PARENT_GRACE_S = 1.0
"""Grace period to see whether our parent dies as well, as on a machine that goes down."""

_OVERSLEPT_S = 2.0
"""A wait that takes so much longer than asked for was not the referee's alone: the machine was suspended."""

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

    Then the parent of this process, `parent` before, is gone, or goes within the grace period.
    """
    if failure.kind != EXIT:
        return False
    until = wall_clock() + _PARENT_GRACE_S
    while os.getppid() == parent and wall_clock() < until:
        time.sleep(0.05)
    return os.getppid() != parent


class PlayerHandle(ABC):
    """The handle of player number `rank` of `ranks`. All of it raises PlayerGone for a failure or a dead player.

    As a context manager it leaves no process behind.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        self._rank, self._ranks = rank, ranks
        self._message: Message | None = None
        self._hook = "load"

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def send(self, command: Command[Answer]) -> Answer:
        """Has the player do something; waits for the answer to an `awaited` command, and for no other.

        Raises UnknownCommand.
        """

    @property
    @abstractmethod
    def channels(self) -> Sequence[Channel]:
        """Those of which one is ready to read once the player has sent a message or has died."""

    @abstractmethod
    def receive(self) -> None:
        """Takes in the message that is there."""

    @abstractmethod
    def check(self) -> None:
        """Raises PlayerGone where it runs too many processes."""

    @property
    def core_use(self) -> CoreUse | None:
        """What it had of this machine's cores so far, None for a player on another machine."""
        return None

    @property
    def output(self) -> str | None:
        """The end of what the player printed, None for nothing and where that is not known here."""
        return None

    @property
    def name(self) -> str:
        """Which of the trial's players it is."""
        return f"rank {self._rank} of {self._ranks}"

    @property
    def has_message(self) -> bool:
        """Whether a message was taken in that nobody has asked for yet."""
        return self._message is not None

    def ready_within(self, seconds: float) -> bool:
        """Waits for a message, at most so long; a player that died counts as one. Raises as `ready_among`."""
        return self.has_message or bool(ready_among([self], seconds))

    def expect(self, kind: type[_M]) -> _M:
        """The next message, which must be of this kind."""
        if _ends_start(kind) and not self.ready_within(LOAD_TIMEOUT_S):
            raise self.timed_out(LOAD_TIMEOUT_S)
        message = self.next()
        if not isinstance(message, kind):
            raise self.broke_rules(f"it sent {type(message).__name__} where {kind.__name__} was expected")
        return message

    def next(self) -> Message:
        """The next message of any kind."""
        if self._message is None:
            self.receive()
        message, self._message = self._message, None
        assert message is not None
        return message

    def failed(self, kind: str, message: str) -> PlayerGone:
        """What to raise for a failure in the hook that is running."""
        return self.gone(Failure(hook=self._hook, kind=kind, message=message, output=self.output))

    def gone(self, failure: Failure) -> PlayerGone:
        """What to raise for a failure of this player's, which is named where it is one of several."""
        if self._ranks > 1:
            failure = replace(failure, message=f"{self.name}: {failure.message}")
        return PlayerGone(failure)

    def broke_rules(self, text: str) -> PlayerGone:
        """What to raise for a player that sends what it may not send."""
        return self.failed("ProtocolError", text)

    def timed_out(self, allowed_s: float) -> PlayerGone:
        """What to raise for a player that takes too long to start and to load a submission."""
        return self.failed("Timeout", f"the submission's import took more than {allowed_s:.0f} s")

    def _accept(self, message: Message) -> None:
        self._message = message
        self._hook = {Loaded: "configure", Configured: "update"}.get(type(message), self._hook)


def _ends_start(kind: type[Message]) -> bool:
    """Whether a message of this kind comes before the clock runs."""
    return kind in (RendezvousReady, Confined, Loaded)


def ready_among(players: Sequence[PlayerHandle], seconds: float) -> list[PlayerHandle]:
    """Those that have sent a message or died, once one has; none where that takes longer than so many seconds.

    Raises MeasurementInvalid where the machine was suspended meanwhile, PlayerGone for too many processes.
    """
    until = wall_clock() + max(0.0, seconds)
    while True:
        left_s = max(0.0, until - wall_clock())
        ready = wait_for((channel for player in players for channel in player.channels), min(CHECK_EVERY_S, left_s))
        if ready or wall_clock() >= until:
            return [player for player in players if any(channel in ready for channel in player.channels)]
        for player in players:
            player.check()


def wait_for(channels: Iterable[Channel], seconds: float) -> Sequence[object]:
    """Those that are ready, once one is or so many seconds are over.

    Raises MeasurementInvalid where the machine was suspended meanwhile.
    """
    before = wall_clock()
    ready = wait(list(channels), seconds)
    took_s = wall_clock() - before
    if took_s > seconds + _OVERSLEPT_S:
        raise MeasurementInvalid(f"the machine stood still for {took_s:.1f} s in the middle of a measurement")
    return ready

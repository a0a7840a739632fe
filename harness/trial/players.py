"""The players of one trial, one a device, to the referee as if they were one: they stop and go on together.

A trial on one device has one. Of several, the messages must be the same, and whichever fails ends them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from harness.player.buffer import SharedBuffer
from harness.player.commands import (
    Answer,
    Command,
    EnterNamespaces,
    IsWaiting,
    JoinAt,
    RestoreState,
    SaveState,
)
from harness.player.messages import Confined, EvalReady, Loaded, Message, RendezvousReady
from harness.player.rank_group import RankLost
from harness.player.spec import PlayerSpec
from harness.protocol.trial import Trial
from harness.system.processes import CoreUse
from harness.trial.clock import wall_clock
from harness.trial.player_handle import LOAD_TIMEOUT_S, MeasurementInvalid, PlayerGone, PlayerHandle, ready_among
from harness.trial.player_process import PlayerProcess
from harness.trial.remote_player import RemotePlayer, RemoteSlots
from scoring.records import Failure

_CULPRIT_S = 2.0
"""Seconds in which a rank that failed by itself may still report it, once another one has lost it."""

_COMPILING = 5
"""So many times longer may a player take to start where the model is compiled."""

_M = TypeVar("_M", bound=Message)


class Players:
    """The running players of a trial, by rank. As a context manager it leaves no process behind."""

    def __init__(
        self,
        trial: Trial,
        specs: Sequence[PlayerSpec],
        buffers: Sequence[SharedBuffer],
        remote_slots: RemoteSlots | None = None,
    ) -> None:
        """Starts a player of this machine for each spec and the others in the slots; `buffers` hold the weights of
        each. Raises MeasurementInvalid."""
        layout = trial.layout
        self._load_s = LOAD_TIMEOUT_S * (_COMPILING if layout.compiled else 1)
        self._host = remote_slots.host if remote_slots is not None else None
        with contextlib.ExitStack() as starting:
            self._all: list[PlayerHandle] = [
                starting.enter_context(PlayerProcess(spec, buffer))
                for spec, buffer in zip(specs, buffers[: len(specs)], strict=True)
            ]
            if remote_slots is not None:
                remote_ranks = range(len(specs), layout.devices)
                for rank, slot in zip(remote_ranks, remote_slots.kept, strict=True):
                    connection = slot.open(trial, rank, remote_slots.host)
                    player = RemotePlayer(connection, buffers[rank], rank, layout.devices)
                    self._all.append(starting.enter_context(player))
            self._running = starting.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def send(self, command: Command[Answer]) -> tuple[Answer, ...]:
        """Sends all of them a command, one after the other; returns their answers by rank."""
        return tuple(player.send(command) for player in self._all)

    def states(self, most: int) -> tuple[bytes, ...] | None:
        """The state of each, of at most so many bytes; None where one cannot be saved."""
        states = self.send(SaveState(most=most))
        saved = tuple(state for state in states if state is not None)
        return saved if len(saved) == len(states) else None

    def restore(self, states: Sequence[bytes]) -> None:
        """Gives each the state to go on from."""
        for player, state in zip(self._all, states, strict=True):
            player.send(RestoreState(state=state))

    def confined(self) -> tuple[str, ...]:
        """Waits until they are in their sandboxes and have met; returns the guards that hold for every one.

        Raises MeasurementInvalid where one does not start.
        """
        first, *others = self._all
        if others:
            join = self._way_to(first)
            for player in others:
                player.send(join)
        if not self.ready_within(self._load_s):
            late = self.behind() or "the player "
            raise MeasurementInvalid(f"{late}did not start and meet the others within {self._load_s:.0f} s")
        guards = [player.expect(Confined).guards for player in self._all]
        return tuple(guard for guard in guards[0] if all(guard in held for held in guards))

    def _way_to(self, first: PlayerHandle) -> Command[None]:
        """How the other ranks reach the first one, once it is ready for them."""
        port = first.expect(RendezvousReady).port
        if self._host is not None:
            if port is None:
                raise first.broke_rules("it opened no port for the ranks on other machines")
            return JoinAt(host=self._host, port=port)
        assert isinstance(first, PlayerProcess), "the first rank runs on the referee's machine"
        return EnterNamespaces(pid=first.pid)

    def ready_within(self, seconds: float) -> bool:
        """Waits until each has sent a message, at most so long; as for one player."""
        if len(self._all) == 1:
            return self._all[0].ready_within(seconds)
        until = wall_clock() + max(0.0, seconds)
        while late := self._late():
            ready = ready_among(late, until - wall_clock())
            if not ready:
                return False
            for player in ready:
                self._receive(player)
        return True

    def expect(self, kind: type[_M]) -> _M:
        """Their next message, of this kind and the same. Raises PlayerGone where one fails or they differ."""
        if kind is Loaded and not self.ready_within(self._load_s):
            raise self._late()[0].timed_out(self._load_s)
        messages = [player.expect(kind) for player in self._all]
        common = _common(messages[0])
        for player, message in zip(self._all, messages, strict=True):
            if _common(message) != common:
                text = f"the ranks differ, expected the same on all: {common} on rank 0, {_common(message)}"
                raise player.gone(Failure(hook="update", kind="RanksDiffer", message=text))
        return messages[0]

    @property
    def core_uses(self) -> tuple[CoreUse | None, ...]:
        """What each had of this machine's cores so far, None for those on other machines."""
        return tuple(player.core_use for player in self._all)

    def behind(self) -> str:
        """A name for those that keep the trial waiting, to begin a sentence with; empty where there is but one."""
        if len(self._all) == 1:
            return ""
        late = [player for player in self._late() if not player.send(IsWaiting())] or self._late()
        return f"{', '.join(player.name for player in late)} "

    def _late(self) -> list[PlayerHandle]:
        return [player for player in self._all if not player.has_message]

    def _receive(self, player: PlayerHandle) -> None:
        """Takes in a player's message. Raises PlayerGone where one of all failed, and rather for one that failed by
        itself than for one that lost another."""
        try:
            player.receive()
        except PlayerGone as gone:
            lost, others = gone, [other for other in self._late() if other is not player]
        else:
            return
        until = wall_clock() + _CULPRIT_S
        while lost.failure.kind == RankLost.__name__ and others:
            ready = ready_among(others, until - wall_clock())
            if not ready:
                break
            for other in ready:
                others.remove(other)
                try:
                    other.receive()
                except PlayerGone as gone:
                    lost = gone
        if self._host is not None and lost.failure.kind == RankLost.__name__:
            raise MeasurementInvalid(f"the machines lost each other: {lost.failure.message}") from None
        raise lost


def _common(message: _M) -> _M:
    """What ranks must agree on: all but what each sees of its own part."""
    return replace(message, train_loss=None, state_bytes=None) if isinstance(message, EvalReady) else message

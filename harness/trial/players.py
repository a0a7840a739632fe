"""The players of one trial, one a device, to the referee as if they were one: they stop and go on together.

A trial on one device has one. Of several, what they say must be the same, and whichever fails ends them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from harness.player.buffer import SharedBuffer
from harness.player.messages import Confined, Continue, EvalReady, Loaded, Message, RendezvousReady
from harness.player.player import PlayerSpec
from harness.player.rank_group import RankLost
from harness.protocol.trial import Trial
from harness.trial.clock import wall_clock
from harness.trial.player_handle import LOAD_TIMEOUT_S, MeasurementInvalid, PlayerGone, PlayerHandle, ready_among
from harness.trial.player_process import PlayerProcess
from harness.trial.remote_player import RemotePlayer, RemoteSlots
from scoring.records import Failure

_CULPRIT_S = 2.0
"""Seconds in which a rank whose fault it is may still be heard, once another one has lost it."""

_COMPILING = 5
"""So many times longer may a player take to start where the model is compiled."""

_M = TypeVar("_M", bound=Message)


class Players:
    """The running players of a trial, by rank. As a context manager it leaves no process behind."""

    def __init__(self, trial: Trial, here: Sequence[PlayerSpec], remote_slots: RemoteSlots | None = None) -> None:
        """Starts those that live on this machine, and has posts start the others. Raises Disturbed."""
        layout = trial.layout
        self._load_s = LOAD_TIMEOUT_S * (_COMPILING if layout.compiled else 1)
        self._host = remote_slots.host if remote_slots is not None else None
        self._lives = contextlib.ExitStack()
        with contextlib.ExitStack() as starting:
            self._all: list[PlayerHandle] = [starting.enter_context(PlayerProcess(part)) for part in here]
            for rank, post in enumerate(remote_slots.kept if remote_slots is not None else (), len(here)):
                connection = post.open(trial, rank, remote_slots.host)
                self._all.append(starting.enter_context(RemotePlayer(connection, rank, layout.devices)))
            self._lives = starting.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lives.close()

    def confined(self) -> tuple[str, ...]:
        """Has them lock themselves up and meet; returns the guards that hold for every one.

        Raises Disturbed where one does not start.
        """
        first, *others = self._all
        port = first.expect(RendezvousReady).port if others else None
        for player in others:
            if port is not None and self._host is not None:
                player.invite(self._host, port)
            elif isinstance(first, PlayerProcess) and isinstance(player, PlayerProcess):
                player.namespaces(first)
        if not self.ready_within(self._load_s):
            late = self.behind() or "the player "
            raise MeasurementInvalid(f"{late}did not start and meet the others within {self._load_s:.0f} s")
        guards = [player.expect(Confined).guards for player in self._all]
        return tuple(guard for guard in guards[0] if all(guard in held for held in guards))

    def ready_within(self, seconds: float) -> bool:
        """Waits until each has said something, at most so long; as for one player."""
        if len(self._all) == 1:
            return self._all[0].ready_within(seconds)
        until = wall_clock() + max(0.0, seconds)
        while late := self._late():
            ready = ready_among(late, until - wall_clock())
            if not ready:
                return False
            for player in ready:
                self._hear(player)
        return True

    def expect(self, kind: type[_M]) -> _M:
        """What they say next, of this kind and the same. Raises PlayerGone where one fails or they differ."""
        if kind is Loaded and not self.ready_within(self._load_s):
            raise self._late()[0].timed_out(self._load_s)
        said = [player.expect(kind) for player in self._all]
        for player, message in zip(self._all, said, strict=True):
            if _common(message) != _common(said[0]):
                text = (
                    f"the ranks differ, expected the same on all: {_common(said[0])} on rank 0, {_common(message)}"
                )
                raise player.gone(Failure(hook="update", kind="RanksDiffer", message=text))
        return said[0]

    def bind_weights(self, buffers: Sequence[SharedBuffer]) -> None:
        """Has the weights in these pieces of memory, one for each, be theirs, as they are now."""
        for player, piece in zip(self._all, buffers, strict=True):
            player.bind_weights(piece)

    def fetch_weights(self) -> None:
        """Has the pieces hold their weights as they are now."""
        for player in self._all:
            player.fetch_weights()

    def send_data(self, arrays: Sequence[Path]) -> None:
        """Gives each its weights, and all the files of the training data."""
        for player in self._all:
            player.send_data(arrays)

    def ask_for_evaluation(self) -> None:
        """Asks them to stop after the step under way."""
        for player in self._all:
            player.ask_for_evaluation()

    def proceed(self, leave: Continue) -> None:
        """Gives all leave to train on."""
        for player in self._all:
            player.proceed(leave)

    def states(self, most: int) -> tuple[bytes, ...] | None:
        """The state of each, None where one cannot be saved; as for one player."""
        found = [player.state(most) for player in self._all]
        return tuple(state for state in found if state is not None) if None not in found else None

    def restore(self, states: Sequence[bytes]) -> None:
        """Gives each the state to go on from."""
        for player, state in zip(self._all, states, strict=True):
            player.restore(state)

    def freeze(self) -> None:
        """Stops them all by the kernel; returns once they stand still."""
        for player in self._all:
            player.freeze()

    def thaw(self) -> None:
        """Lets them go on. Raises PlayerGone where something of one ran since it was stopped."""
        for player in self._all:
            player.thaw()

    @property
    def worked_s(self) -> float:
        """Seconds of this machine's cores that they have used; in ticks."""
        return sum(player.worked_s for player in self._all)

    def behind(self) -> str:
        """A name for those that keep the trial waiting, to begin a sentence with; empty where there is but one."""
        if len(self._all) == 1:
            return ""
        late = [player for player in self._late() if not player.waits_for_others] or self._late()
        return f"{', '.join(player.name for player in late)} "

    def _late(self) -> list[PlayerHandle]:
        return [player for player in self._all if not player.heard]

    def _hear(self, player: PlayerHandle) -> None:
        """Takes in what one says. Raises PlayerGone where one of all failed, and rather for what one did by itself
        than for the loss of another."""
        try:
            player.hear()
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
                    other.hear()
                except PlayerGone as gone:
                    lost = gone
        if self._host is not None and lost.failure.kind == RankLost.__name__:
            raise MeasurementInvalid(f"the machines lost each other: {lost.failure.message}") from None
        raise lost


def _common(message: _M) -> _M:
    """What ranks must agree on: all but what each sees of its own part."""
    return replace(message, train_loss=None, state_bytes=None) if isinstance(message, EvalReady) else message

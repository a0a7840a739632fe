"""What the referee asks of a player, each a value: the other half of messages.py.

A player on this machine executes a command (harness.trial.player_process), one on another machine is sent it over
the network (harness.trial.remote_player), and the players of a trial are all sent the same (harness.trial.players).
The fields of `JoinAt`, `DataFiles`, `Continue` and `SaveState` reach the player's own process as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from pacer.errors import PacerError

Answer = TypeVar("Answer", covariant=True)

_C = TypeVar("_C", bound="JoinAt | DataFiles | Continue | SaveState")


class UnknownCommand(PacerError):
    """A player was sent what is no command."""


class Command(Generic[Answer]):
    """What a player does, and answers with an `Answer`.

    The sender of an `awaited` command waits until it is done. It goes on at once after any other.
    """

    awaited: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class EnterNamespaces(Command[None]):
    """Enter the user and network namespaces of the first rank, a process of this machine, and meet it there."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class JoinAt(Command[None]):
    """Meet the other ranks at this address, where the first one listens."""

    host: str
    port: int


@dataclass(frozen=True)
class SendWeights(Command[None]):
    """Give the player the weights in the referee's buffer, as they are now."""


@dataclass(frozen=True)
class FetchWeights(Command[None]):
    """Make the referee's buffer hold the player's weights, as they are now."""

    awaited = True


@dataclass(frozen=True, kw_only=True)
class WriteWeights(Command[None]):
    """Fill the buffer on the player's machine with these bytes."""

    data: bytes


@dataclass(frozen=True)
class ReadWeights(Command[bytes]):
    """Answer with the bytes of the buffer on the player's machine."""

    awaited = True


@dataclass(frozen=True)
class SendData(Command[None]):
    """Give the player the memory of its weights and the files of the training data: it then calls `configure`."""


@dataclass(frozen=True, kw_only=True)
class DataFiles:
    """What follows is the memory of the weights, then an open file for each of these arrays."""

    names: list[str]


@dataclass(frozen=True)
class AskForEvaluation(Command[None]):
    """Stop for an evaluation after the step under way."""


@dataclass(frozen=True, kw_only=True)
class Continue(Command[None]):
    """Train on, up to step `eval_step` or until asked for an evaluation.

    `submission_s` is the submission's time so far, `value` the validation metric that was just evaluated. With
    `save` the player first asks to have its state saved; with `resume` it waits for a state to go on from.
    """

    submission_s: float
    eval_step: int | None
    value: float | None = None
    save: bool = False
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class SaveState(Command[bytes | None]):
    """Answer with the state of a player that asked to have it saved: opaque bytes for `RestoreState`.

    None where the state is of a kind that cannot be saved, or of more than `most` bytes.
    """

    awaited = True
    most: int


@dataclass(frozen=True, kw_only=True)
class RestoreState(Command[None]):
    """Go on from this state."""

    state: bytes


@dataclass(frozen=True)
class Freeze(Command[None]):
    """The kernel stops the player and all that it started; done once they stand still."""

    awaited = True


@dataclass(frozen=True)
class Thaw(Command[None]):
    """The player runs again. Fails where something of it ran since it was frozen."""

    awaited = True


@dataclass(frozen=True)
class IsWaiting(Command[bool]):
    """Answer whether the player waits for other ranks of its trial."""

    awaited = True


def encode(command: JoinAt | DataFiles | Continue | SaveState) -> bytes:
    """The fields of a command, for the player's process."""
    return json.dumps(vars(command)).encode()


def decode(kind: type[_C], data: bytes) -> _C:
    """The command of this kind that was encoded."""
    return kind(**json.loads(data))

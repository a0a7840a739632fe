"""What a player sends to its referee. Player messages are untrusted and validated field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from scoring.records import Failure, Outcome

LONGEST = 2**20
"""Bytes that a message may have."""

_LONGEST_TEXT, _LONGEST_TRACEBACK = 2_000, 20_000
_PORTS = 2**16
_DECLINED = (Outcome.COMPLETE, Outcome.UNSUITABLE)
"""How a trial may end before it begins."""

_T = TypeVar("_T")


class MessageError(Exception):
    """The player sent what is no message."""


@dataclass(frozen=True, kw_only=True)
class RendezvousReady:
    """The first of several ranks can be met by the others: at this `port` of the network, or, without one, in the
    namespaces that it has entered."""

    port: int | None


@dataclass(frozen=True, kw_only=True)
class Confined:
    """The player is in its sandbox; `guards` names what the kernel keeps it from. No code of the submission ran."""

    guards: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The submission is loaded; `declined` is how the trial ends before it begins, and why."""

    hp: Mapping[str, object]
    batch_size: int
    declined: tuple[Outcome, str] | None


@dataclass(frozen=True, kw_only=True)
class Configured:
    """`configure` is done."""


@dataclass(frozen=True, kw_only=True)
class EvalReady:
    """The weights can be evaluated, after `step` updates on `examples` examples.

    `train_loss` is the mean since the last evaluation, None where it is not finite; `complete` says that the
    submission ends its trial; `state_bytes` is the size of the submission's state, at the first evaluation.
    """

    step: int
    examples: int
    train_loss: float | None
    complete: bool
    state_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The submission's state can be copied."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The state follows, or cannot be copied for a `reason`."""

    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """The submission's state is what it was."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A hook raised."""

    failure: Failure


Message = RendezvousReady | Confined | Loaded | Configured | Restored | EvalReady | Saving | Saved | Failed


def encode(message: Message) -> bytes:
    """A message as JSON; a hyperparameter that JSON does not know becomes text."""
    return json.dumps({"kind": type(message).__name__, **vars(message)}, default=_as_json).encode()


def decode(data: bytes) -> Message:
    """The message of these bytes. Raises MessageError where they are none."""
    try:
        fields = json.loads(data, parse_constant=lambda _: None)
        return _READERS[fields.pop("kind")](fields)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MessageError(f"the player sent what is no message ({type(error).__name__}: {error})") from None


def printable(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Text in which nothing moves a cursor, rings a bell or turns the reading direction."""
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text[:longest])
    return "".join(shown)


def _as_json(value: object) -> object:
    return vars(value) if isinstance(value, Failure) else str(value)


def _rendezvous(fields: Mapping[str, object]) -> RendezvousReady:
    return RendezvousReady(port=_optional(_port, fields["port"]))


def _confined(fields: Mapping[str, object]) -> Confined:
    return Confined(guards=tuple(_text(guard) for guard in _a(list, fields["guards"])))


def _loaded(fields: Mapping[str, object]) -> Loaded:
    return Loaded(
        hp={_text(name): _plain(value) for name, value in _a(dict, fields["hp"]).items()},
        batch_size=_count(fields["batch_size"]),
        declined=_optional(_declined, fields["declined"]),
    )


def _eval_ready(fields: Mapping[str, object]) -> EvalReady:
    return EvalReady(
        step=_count(fields["step"]),
        examples=_count(fields["examples"]),
        train_loss=_optional(_finite, fields["train_loss"]),
        complete=_a(bool, fields["complete"]),
        state_bytes=_optional(_count, fields["state_bytes"]),
    )


def _saved(fields: Mapping[str, object]) -> Saved:
    return Saved(reason=_optional(_text, fields["reason"]))


def _failed(fields: Mapping[str, object]) -> Failed:
    failure = _a(dict, fields["failure"])
    return Failed(
        failure=Failure(
            hook=_text(failure["hook"]),
            kind=_text(failure["kind"]),
            message=_text(failure["message"]),
            file=_optional(_text, failure["file"]),
            line=_optional(_count, failure["line"]),
            traceback=_optional(_traceback, failure["traceback"]),
        )
    )


_READERS: dict[str, Callable[[Mapping[str, object]], Message]] = {
    "RendezvousReady": _rendezvous,
    "Confined": _confined,
    "Loaded": _loaded,
    "Configured": lambda _: Configured(),
    "Restored": lambda _: Restored(),
    "EvalReady": _eval_ready,
    "Saving": lambda _: Saving(),
    "Saved": _saved,
    "Failed": _failed,
}


def _optional(read: Callable[[object], _T], value: object) -> _T | None:
    return None if value is None else read(value)


def _text(value: object) -> str:
    return printable(_a(str, value))


def _traceback(value: object) -> str:
    return printable(_a(str, value), _LONGEST_TRACEBACK)


def _count(value: object) -> int:
    if not 0 <= (count := _a(int, value)) < 2**53:
        raise ValueError(f"{value} is not a count")
    return count


def _port(value: object) -> int:
    if not 0 < (port := _a(int, value)) < _PORTS:
        raise ValueError(f"{value} is not a port")
    return port


def _finite(value: object) -> float | None:
    """A number, None where it is not finite."""
    number = _a(int, value) if type(value) is int else _a(float, value)
    return number if math.isfinite(number) else None


def _declined(value: object) -> tuple[Outcome, str]:
    outcome, reason = _a(list, value)
    if outcome not in _DECLINED:
        raise ValueError(f"{str(outcome)[:80]!r} is no way to decline a trial")
    return Outcome(outcome), _text(reason)


def _plain(value: object) -> object:
    """A hyperparameter's value as a record may hold it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {printable(name): _plain(each) for name, each in value.items()}
    return value


def _a(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:
        raise TypeError(f"{str(value)[:80]!r} is not of type {kind.__name__}")
    return value

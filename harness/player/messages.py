"""What referee and player say to each other. What a player says is read as what it is: the words of a stranger."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.records import Failure, Outcome

LONGEST = 2**20
"""Bytes that a message may have."""

_LONGEST_TEXT, _LONGEST_TRACEBACK = 2_000, 20_000


class MessageError(Exception):
    """The player said what it may not say."""


@dataclass(frozen=True, kw_only=True)
class Continue:
    """The referee's: leave to train on, up to step `border` or until asked. `value` is what was just evaluated.

    With `save` the player asks first to have its state saved, with `resume` it waits for one.
    """

    submission_s: float
    border: int | None
    value: float | None = None
    save: bool = False
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class RendezvousReady:
    """The first of several players has entered its namespaces, and the others may follow, or it waits for them at a
    `port` of the network."""

    port: int | None


@dataclass(frozen=True, kw_only=True)
class Confined:
    """The player is locked up; `guards` names what the kernel keeps it from. No code of the submission ran yet."""

    guards: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The submission is loaded; `declined` is how the trial ends before it begins, and why."""

    hp: Mapping[str, Any]
    batch_size: int
    declined: tuple[Outcome, str] | None


@dataclass(frozen=True, kw_only=True)
class Configured:
    """`configure` is done."""


@dataclass(frozen=True, kw_only=True)
class EvalReady:
    """The weights are as they are to be judged, after `step` updates and `examples` examples."""

    step: int
    examples: int
    train_loss: float | None
    complete: bool
    state_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The submission's state is ready to be copied."""


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


def read(data: bytes) -> Message:
    """The message of these bytes. Raises MessageError where they are none."""
    try:
        facts = json.loads(data, parse_constant=lambda _: None)
        return _READERS[facts.pop("at")](facts)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"the player sent what is no message ({type(error).__name__}: {error})") from None


def printable(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Text in which nothing moves a cursor, rings a bell or turns the reading direction."""
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text[:longest])
    return "".join(shown)


def _loaded(facts: dict[str, Any]) -> Loaded:
    declined = facts["declined"]
    if declined is not None:
        outcome, reason = declined
        declined = (Outcome(outcome), printable(_a(str, reason)))
    hp = {printable(_a(str, name)): _plain(value) for name, value in facts["hp"].items()}
    return Loaded(hp=hp, batch_size=_count(facts["batch_size"]), declined=declined)


def _border(facts: dict[str, Any]) -> EvalReady:
    loss, size = facts["train_loss"], facts["state_bytes"]
    return EvalReady(
        step=_count(facts["step"]),
        examples=_count(facts["examples"]),
        train_loss=None if loss is None or not math.isfinite(_a(float, loss)) else loss,
        complete=_a(bool, facts["complete"]),
        state_bytes=None if size is None else _count(size),
    )


def _failed(facts: dict[str, Any]) -> Failed:
    said, line = facts["failure"], facts["failure"]["line"]
    texts = {key: None if said[key] is None else _a(str, said[key]) for key in ("file", "traceback")}
    return Failed(
        failure=Failure(
            hook=printable(_a(str, said["hook"])),
            kind=printable(_a(str, said["kind"])),
            message=printable(_a(str, said["message"])),
            file=texts["file"] and printable(texts["file"]),
            line=None if line is None else _count(line),
            traceback=texts["traceback"] and printable(texts["traceback"], _LONGEST_TRACEBACK),
        )
    )


_READERS = {
    "housed": lambda facts: RendezvousReady(port=None if facts["port"] is None else _count(facts["port"])),
    "confined": lambda facts: Confined(guards=tuple(printable(_a(str, guard)) for guard in facts["guards"])),
    "loaded": _loaded,
    "configured": lambda facts: Configured(),
    "restored": lambda facts: Restored(),
    "saving": lambda facts: Saving(),
    "saved": lambda facts: Saved(reason=None if facts["reason"] is None else printable(_a(str, facts["reason"]))),
    "border": _border,
    "failed": _failed,
}


def _plain(value: Any) -> Any:
    """A hyperparameter's value as a record may hold it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {printable(_a(str, name)): _plain(part) for name, part in value.items()}
    return value


def _count(value: Any) -> int:
    if not 0 <= _a(int, value) < 2**53:
        raise ValueError(f"{value} is not a count")
    return value


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{str(value)[:80]!r} is not of type {kind.__name__}")
    return value

"""What a player sends is validated field by field: each field takes some values and refuses others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.player import messages
from harness.player.messages import (
    Configured,
    Confined,
    EvalReady,
    Failed,
    Loaded,
    Message,
    MessageError,
    RendezvousReady,
    Restored,
    Saved,
    Saving,
    decode,
    encode,
    printable,
)
from scoring.records import Failure, Outcome

FAILURE = Failure(hook="update", kind="ValueError", message="no", file="a.py", line=3, traceback="Traceback ...")
VALID: list[Message] = [
    RendezvousReady(port=None),
    RendezvousReady(port=1),
    RendezvousReady(port=65535),
    Confined(guards=()),
    Confined(guards=("files", "network")),
    Loaded(
        hp={"lr": 0.1, "betas": [0.9, 0.99], "name": "x", "on": True, "of": {"a": None}},
        batch_size=0,
        declined=None,
    ),
    Loaded(hp={}, batch_size=2**53 - 1, declined=(Outcome.COMPLETE, "no point is left")),
    Loaded(hp={}, batch_size=1, declined=(Outcome.UNSUITABLE, "no")),
    Configured(),
    EvalReady(step=0, examples=0, train_loss=None, complete=False, state_bytes=None),
    EvalReady(step=2**53 - 1, examples=5, train_loss=-0.5, complete=True, state_bytes=0),
    EvalReady(step=1, examples=5, train_loss=2, complete=True, state_bytes=7),
    Saving(),
    Saved(reason=None),
    Saved(reason="too large"),
    Restored(),
    Failed(failure=FAILURE),
    Failed(failure=Failure(hook="load", kind="E", message="")),
]

COUNTS: list[object] = [None, -1, 2**53, 1.0, True, "1", [], {}]
OPTIONAL_COUNTS = COUNTS[1:]
TEXTS: list[object] = [None, 1, True, ["x"], {}]
OPTIONAL_TEXTS = TEXTS[1:]
REFUSED: dict[tuple[type[Message], str], list[object]] = {
    (RendezvousReady, "port"): [0, -1, 65536, 1.0, True, "1", []],
    (Confined, "guards"): [None, "files", {"files": 1}, 1, [1], [None], [["files"]]],
    (Loaded, "hp"): [None, [], [["lr", 1]], "x", 1],
    (Loaded, "batch_size"): COUNTS,
    (Loaded, "declined"): [
        "complete", [], ["complete"], ["complete", "x", "y"], ["complete", 1], ["complete", None], [1, "x"],
        ["won", "x"], {"complete": 1, "x": 2}, *([outcome.value, "x"] for outcome in Outcome
        if outcome not in (Outcome.COMPLETE, Outcome.UNSUITABLE)),
    ],
    (EvalReady, "step"): COUNTS,
    (EvalReady, "examples"): COUNTS,
    (EvalReady, "train_loss"): [True, "0.1", [0.1], {}, 10**400],
    (EvalReady, "complete"): [None, 0, 1, "true", []],
    (EvalReady, "state_bytes"): OPTIONAL_COUNTS,
    (Saved, "reason"): OPTIONAL_TEXTS,
    (Failed, "failure"): [None, [], "x", 1, {}],
}  # fmt: skip
REFUSED_OF_FAILURE = {
    "hook": TEXTS,
    "kind": TEXTS,
    "message": TEXTS,
    "file": OPTIONAL_TEXTS,
    "line": OPTIONAL_COUNTS,
    "traceback": OPTIONAL_TEXTS,
}


def fields(kind: type[Message]) -> dict[str, Any]:
    """A message of a kind as JSON holds it, to be changed."""
    return json.loads(encode(next(message for message in VALID if type(message) is kind)))


@pytest.mark.parametrize("message", VALID, ids=str)
def test_what_is_sent_is_read(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_field_has_values_that_are_refused() -> None:
    assert set(REFUSED) == {(type(message), name) for message in VALID for name in vars(message)}
    assert set(REFUSED_OF_FAILURE) == set(vars(FAILURE)) - {"output"}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(kind, name, value) for (kind, name), values in REFUSED.items() for value in values],
)
def test_a_field_that_is_not_of_its_type_and_bounds_is_refused(
    kind: type[Message], name: str, value: object
) -> None:
    with pytest.raises(MessageError, match="what is no message"):
        decode(json.dumps(fields(kind) | {name: value}).encode())


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED_OF_FAILURE.items() for value in values]
)
def test_a_field_of_a_failure_that_is_not_of_its_type_is_refused(name: str, value: object) -> None:
    message = fields(Failed)
    message["failure"][name] = value
    with pytest.raises(MessageError, match="what is no message"):
        decode(json.dumps(message).encode())


@pytest.mark.parametrize(
    "kind", list(dict.fromkeys(type(message) for message in VALID if vars(message))), ids=lambda kind: kind.__name__
)
def test_a_field_that_is_missing_is_refused(kind: type[Message]) -> None:
    for name in set(fields(kind)):
        with pytest.raises(MessageError, match=f"KeyError: '{name}'"):
            decode(json.dumps({key: value for key, value in fields(kind).items() if key != name}).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"1", b'"x"', b"null", b'{"kind": "Won"}', b'{"kind": []}', b"\x80", b"[" * 100_000]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError, match="what is no message"):
        decode(data)


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_loss_that_is_no_finite_number_is_none(loss: str) -> None:
    data = encode(EvalReady(step=1, examples=1, train_loss=0.25, complete=False, state_bytes=None))
    message = decode(data.replace(b"0.25", loss.encode()))
    assert isinstance(message, EvalReady)
    assert message.train_loss is None


RED, SHOWN = "\x1b[31m\x07\u202e", "\\x1b[31m\\x07\\u202e"
"""Text that moves a terminal's colours, rings its bell and turns the reading direction, and as it is shown."""


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (Confined(guards=(RED,)), Confined(guards=(SHOWN,))),
        (Saved(reason=RED), Saved(reason=SHOWN)),
        (
            Loaded(hp={RED: [RED, {RED: RED}]}, batch_size=1, declined=(Outcome.COMPLETE, RED)),
            Loaded(hp={SHOWN: [SHOWN, {SHOWN: SHOWN}]}, batch_size=1, declined=(Outcome.COMPLETE, SHOWN)),
        ),
        (
            Failed(failure=Failure(hook=RED, kind=RED, message=RED, file=RED, line=1, traceback=RED)),
            Failed(failure=Failure(hook=SHOWN, kind=SHOWN, message=SHOWN, file=SHOWN, line=1, traceback=SHOWN)),
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_text_of_a_player_moves_a_terminal(sent: Message, read: Message) -> None:
    assert decode(encode(sent)) == read


def test_texts_are_cut() -> None:
    message = decode(
        encode(Failed(failure=Failure(hook="h", kind="k", message="m" * 9_999, traceback="t" * 99_999)))
    )
    assert isinstance(message, Failed)
    assert message.failure.message == "m" * 2_000
    assert message.failure.traceback == "t" * 20_000
    assert printable("a\n\tb" * 1_000) == ("a\n\tb" * 500)
    assert printable("abc", 2) == "ab"


def test_hyperparameters_that_json_does_not_know_become_text() -> None:
    hp = {"nan": float("nan"), "inf": [float("inf")], "kind": int, 1: 2}
    message = decode(encode(Loaded(hp=hp, batch_size=1, declined=None)))
    assert isinstance(message, Loaded)
    assert message.hp == {"nan": None, "inf": [None], "kind": "<class 'int'>", "1": 2}


def test_a_message_as_long_as_may_be_is_shorter_than_the_longest() -> None:
    wide = "\U000e0001"
    failure = Failure(hook="h", kind="k", message=wide * 2_000, file="f", line=1, traceback=wide * 20_000)
    assert len(encode(Failed(failure=failure))) < messages.LONGEST

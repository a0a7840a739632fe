"""A record as one line of JSON with a digest at its end, and back.

A line that ends as `to_json` ends it, and whose fields differ from today's by name only, is decoded straight into
typed values. Any other goes through plain dictionaries and the migrations, after its digest was checked, if it has
one: lines of other schemas, and those with JSON that only Python's own reader takes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple, get_type_hints

import msgspec

from pacer.target import Target
from scoring.records.compact import around, deciding
from scoring.records.curve import Curve
from scoring.records.migrations import NAMES_IN_1, migrated
from scoring.records.record import SCHEMA, Evaluation, Record

DIGITS = 32
"""Hexadecimal digits of a digest."""

_OMITTED: Mapping[str, object] = {
    "contention_s": None, "waited_s": None, "skipped": 0, "curve": None, "devices": 1, "machines": 1,
    "compiled": False, "horizon": 1.0, "batch": 1.0,
}  # fmt: skip
"""What a line leaves out where it is at this value, as most records are."""


def to_json(record: Record) -> str:
    """One line of strict JSON (no NaN), with a digest of itself at its end. Raises ValueError for a NaN."""
    # vars, as dataclasses.asdict copies every number: four times the time, and evaluations may go into millions.
    data = vars(record) | {
        "evaluations": [vars(evaluation) for evaluation in record.evaluations],
        "failure": record.failure and vars(record.failure),
        "curve": record.curve and record.curve.columns(),
    }
    for name, value in _OMITTED.items():
        if data[name] == value:
            del data[name]
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return f'{text[:-1]},"digest":"{digest_of(text)}"}}'


def digest_of(text: str) -> str:
    """32 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def from_json(line: str | bytes) -> Record:
    """The record of one line. Raises ValueError where the line is not one, or is not as it was written."""
    return from_line(line.encode() if isinstance(line, str) else line)[0]


def from_line(line: bytes) -> tuple[Record, str]:
    """The record of a line and the digest of the whole line. Raises ValueError as `from_json` does."""
    text = line.strip()
    if (seal := _seal(text)) is not None:
        name = verified(text, seal.digest)
        try:
            return _whole(_LINES[seal.schema].decode(text)), name
        except msgspec.DecodeError:  # the other reader takes it, or says what is wrong
            pass
    return _of_any_schema(text), hashlib.sha256(text).hexdigest()[:DIGITS]


def brief_fields(text: bytes) -> tuple[dict[str, Any], str] | None:
    """The fields of the brief of a line's record, and the digest of the line; None for a line that must be read
    whole. Raises ValueError where the line is not as it was written.

    Half the time of `from_line`: only the evaluations that count become objects, and the ledger none.
    """
    seal = _seal(text)
    if seal is None:
        return None
    name = verified(text, seal.digest)
    try:
        data = _fields(_BRIEFS[seal.schema].decode(text))
        data["ledger"] = () if data["budget_s"] else msgspec.json.decode(data["ledger"], type=_Ledger)
    except msgspec.DecodeError:
        return None
    evaluations: Sequence[Any] = data["evaluations"]
    target = Target(data["target"], data["higher_is_better"])
    index = deciding([each.value for each in evaluations], target)
    if data["curve"] is None:
        data["curve"] = Curve.of(evaluations, higher_is_better=data["higher_is_better"])
    data["evaluations"] = tuple(map(_evaluation, around(evaluations, index)))
    data["skipped"] += index
    return data, name


def verified(text: bytes, digest: str) -> str:
    """The digest of a whole line. Raises ValueError unless the one at its end, `digest`, is that of the rest."""
    tail = f',"digest":"{digest}"}}'.encode()
    whole = hashlib.sha256(memoryview(text)[: -len(tail)])
    content = whole.copy()
    content.update(b"}")
    if content.hexdigest()[:DIGITS] != digest or not text.endswith(tail):
        raise ValueError("its content was changed after it was written")
    whole.update(tail)
    return whole.hexdigest()[:DIGITS]


class _Seal(NamedTuple):
    schema: int
    digest: str


def _seal(text: bytes) -> _Seal | None:
    """The end of a line as `to_json` writes them, of a schema that needs no migration; None for any other."""
    end = _END.search(text, max(0, len(text) - _END_BYTES))
    return _Seal(int(end[1]), end[2].decode()) if end and int(end[1]) in _LINES else None


_END = re.compile(rb',"schema":(\d+),"digest":"([0-9a-f]{%d})"}\Z' % DIGITS)
_END_BYTES = 64 + DIGITS


def _of_any_schema(text: bytes) -> Record:
    data = _untyped(text)
    try:
        if (digest := data.get("digest")) is not None:
            verified(text, digest)
        return _whole(msgspec.convert(migrated(data), _LINES[SCHEMA].type))
    except (AttributeError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise ValueError(f"not a record: {error!r}") from error


def _untyped(text: bytes) -> Any:
    """The JSON of a line; by Python's own slow reader where only that takes it, such as half a surrogate pair."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def _line_type(ledger: object, names: Mapping[str, str]) -> type[msgspec.Struct]:
    """A Record's fields and the digest as a line has them, some under other `names`, the ledger of any type.

    Structs stand in for evaluations, as they take a tenth of the time to make.
    """
    evaluation = msgspec.defstruct(
        "Evaluation", _typed(Evaluation), rename=names, forbid_unknown_fields=True, gc=False
    )
    own = _typed(Record, evaluations=tuple[evaluation, ...], ledger=ledger, curve=_Columns | None)
    return msgspec.defstruct(
        "Line", [*own, ("digest", str | None, None)], rename=names, kw_only=True, forbid_unknown_fields=True
    )


def _typed(kind: type[Record | Evaluation], **instead: object) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass with their types and defaults, for msgspec."""
    hints = get_type_hints(kind) | instead
    return [(each.name, hints[each.name], _default(each)) for each in fields(kind)]


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return msgspec.field(default_factory=each.default_factory)
    return msgspec.field() if each.default is MISSING else each.default


_Ledger = tuple[tuple[str, float], ...]
_Columns = list[list[float | None]]
_NAMES: Mapping[int, Mapping[str, str]] = {1: NAMES_IN_1, 2: {}, 3: {}, SCHEMA: {}}
_LINES = {schema: msgspec.json.Decoder(_line_type(_Ledger, names)) for schema, names in _NAMES.items()}
_BRIEFS = {schema: msgspec.json.Decoder(_line_type(msgspec.Raw, names)) for schema, names in _NAMES.items()}


def _fields(line: msgspec.Struct) -> dict[str, Any]:
    data = msgspec.structs.asdict(line)
    del data["digest"]
    data["schema"] = SCHEMA
    if data["curve"] is not None:
        data["curve"] = Curve.of_columns(data["curve"])
    return data


def _whole(line: msgspec.Struct) -> Record:
    data = _fields(line)
    data["evaluations"] = tuple(map(_evaluation, data["evaluations"]))
    return Record(**data)


def _evaluation(each: msgspec.Struct) -> Evaluation:
    return Evaluation(**msgspec.structs.asdict(each))

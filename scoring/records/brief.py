"""Reads the lines of a store in brief: what boards and benches need of a record, in a small part of the time.

Most of a line is curve and ledger. Of lines of 18 kB, with some 50 evaluations, a record in brief takes 70 us each,
a whole one 244, and json.loads alone would take 224 (medians of 3 times 5,000 lines, a busy core of an Intel Xeon
virtual machine).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from pacer.target import Target
from scoring.records.record import (
    ABSENT,
    DIGITS,
    SCHEMA,
    Evaluation,
    Record,
    checked,
    deciding,
    from_json,
    renamed,
    to_json,
    typed,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of a store: `record` is what a board needs of it, `whole` reads all of it.

    That is the first evaluation that met the target and the one after it, or the last two; `skipped` counts those
    before. The ledger is there only where the budget is not known. `name` is the digest of the whole line.
    """

    record: Record
    name: str
    whole: Callable[[], Record]


def stored(record: Record) -> Stored:
    """A record that is in memory, as one of a store."""
    return Stored(record, hashlib.sha256(to_json(record).encode()).hexdigest()[:DIGITS], partial(itself, record))


def itself(record: Record) -> Record:
    """The record: what reads one that is in memory."""
    return record


def at(path: Path, offset: int) -> Record:
    """The record of the line at this place of a file."""
    with open(path, "rb") as file:
        file.seek(offset)
        return from_json(file.readline())


def whole_line(text: bytes) -> tuple[Record, str]:
    """The record of a line and the line's digest."""
    return from_json(text), hashlib.sha256(text).hexdigest()[:DIGITS]


class Brief:
    """Makes what a board needs of lines: parses little of their curves and ledgers, which are most of a line, and
    shares what records have in common, so that 100,000 are soon read and fit into memory."""

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}

    def __call__(self, line: bytes) -> tuple[Record, str]:
        """The record and the digest of its line. Raises ValueError as from_json does."""
        text = line.strip()
        try:
            data, name = self._quick(text)
        except (KeyError, TypeError, ValueError):  # not a line as to_json writes them; it may be none at all
            return whole_line(text)
        # As Record(**data), in a tenth of the time: what has the right digest was checked before it was written.
        record = object.__new__(Record)
        record.__dict__.update(data)
        return record, name

    def _quick(self, text: bytes) -> tuple[dict[str, Any], str]:
        # None of these can be within a string, where quotes are escaped.
        curve = text.index(b',"evaluations":[')
        metric = text.index(b'],"metric":', curve)
        ledger = text.index(b',"ledger":[', metric)
        wall = text.index(b'],"wall_s":', ledger)
        data = orjson.loads(b"".join((text[:curve], text[metric + 1 : ledger], text[wall + 1 :])))
        name = checked(text, data.pop("digest"))
        if not data["budget_s"] or data["schema"] != SCHEMA or not isinstance(data["seed"], int):
            raise KeyError("all of it is needed")
        values = orjson.loads(b"[%b]" % b",".join(_VALUE.findall(text, curve, metric)))
        if len(values) != text.count(b',"beside":{', curve, metric):
            raise KeyError("a further metric of that name")
        place = deciding(values, Target(data["target"], data["higher_is_better"]))
        start = end = metric
        for number in range(len(values) - 1, place - 1, -1):  # back from the last, as trials end at their target
            start = text.rindex(b'{"step":', curve, start)
            if number == place + 2:
                end = start - 1
        data["evaluations"] = tuple(Evaluation(**renamed(e)) for e in orjson.loads(b"[%b]" % text[start:end]))
        data["ledger"] = ()
        data = {**ABSENT, **renamed(data)}
        data["skipped"] += place
        for field_name in _COMMON:
            if (value := data[field_name]) is not None:
                data[field_name] = sys.intern(value)
        typed(data)
        for field_name in ("versions", "guards"):
            data[field_name] = self._shared.setdefault(f"{field_name} {data[field_name]}", data[field_name])
        if data.keys() != _FIELDS:
            raise KeyError("a line of another version")
        return data, name


_VALUE = re.compile(rb'"value":([^,]*),"train_loss":')
_FIELDS = {each.name for each in fields(Record)}
_COMMON = (
    "suite", "workload", "submission", "ruleset", "workload_hash", "submission_hash", "metric", "device",
    "hardware", "fingerprint", "code", "worker", "variant_of", "reason",
)  # fmt: skip

"""Reads lines in brief: what boards and benches need of a record, in half the time and a small part of the memory.

Most of a line is curve and ledger. Of lines of 16.6 kB, with 50 evaluations, a brief takes 83 us each and a whole
record 188; their digest alone takes 13 (the least of 48 times 25 lines, a busy core of an Intel Xeon virtual
machine, msgspec 0.23).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scoring.records.codec import brief_fields, digest_of, from_json, from_line, to_json
from scoring.records.compact import brief
from scoring.records.record import Record


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of a store: `record` is its brief, `whole` reads all of it.

    The brief has the first evaluation that met the target and the one after it, or the last two; `skipped` counts
    those before. It has the ledger only where the budget is not known. `name` is the digest of the whole line.
    """

    record: Record
    name: str
    whole: Callable[[], Record]


def stored(record: Record) -> Stored:
    """A record that is in memory, as one of a store."""
    return Stored(record, digest_of(to_json(record)), partial(itself, record))


def itself(record: Record) -> Record:
    """The record: reads one that is in memory."""
    return record


def at(path: Path, offset: int) -> Record:
    """The record of the line that starts at this byte of a file."""
    with open(path, "rb") as file:
        file.seek(offset)
        return from_json(file.readline())


class BriefReader:
    """Makes briefs of lines, which share what records have in common, so that 100,000 fit into memory."""

    def __init__(self) -> None:
        self._shared: dict[object, Any] = {}

    def __call__(self, line: bytes) -> tuple[Record, str]:
        """The brief of a line's record, and the line's digest. Raises ValueError as `from_json` does."""
        text = line.strip()
        found = brief_fields(text)
        if found is None:
            whole, name = from_line(text)
            record = brief(whole)
            self._share(vars(record))
            return record, name
        data, name = found
        self._share(data)
        # As Record(**data), in a quarter of the time: what has the right digest was checked before it was written.
        record = object.__new__(Record)
        vars(record).update(data)
        return record, name

    def _share(self, data: dict[str, Any]) -> None:
        """Puts one object in place of equal ones."""
        for field_name in _TEXTS:
            if (value := data[field_name]) is not None:
                data[field_name] = sys.intern(value)
        versions, guards = data["versions"], data["guards"]
        data["versions"] = self._shared.setdefault(("versions", *versions.items()), versions)
        data["guards"] = self._shared.setdefault(guards, guards)


_TEXTS = (
    "suite", "workload", "submission", "ruleset", "workload_hash", "submission_hash", "metric", "device",
    "hardware", "fingerprint", "code", "worker", "variant_of", "reason",
)  # fmt: skip

"""The records of a results folder: appended one by one, read whole or in brief, whoever writes meanwhile."""

from __future__ import annotations

import gc
import gzip
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from pacer.errors import RecordsError
from scoring.records.brief import Stored, at, itself
from scoring.records.codec import from_json, from_line, to_json
from scoring.records.compact import compact
from scoring.records.key import TrialKey
from scoring.records.lines import Line, brief_lines, lines
from scoring.records.record import Record

_T = TypeVar("_T")


class RecordStore:
    """The records of one results folder: `RESULTS/SUITE/trials.jsonl`, appended to and never rewritten, and an
    archive `trials.jsonl.gz` beside it, if there is one."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / suite
        self.path = self.folder / "trials.jsonl"
        self.archive = self.folder / "trials.jsonl.gz"
        self._lock = FileLock(self.folder / ".trials.lock")

    def append(self, record: Record) -> None:
        """Adds one record, on disk when this returns. Several may write. Raises RecordsError on a full disk."""
        self.extend((record,))

    def extend(self, records: Iterable[Record]) -> None:
        """Adds records as `append` does, each as it comes, all on disk when this returns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock, open(self.path, "a+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size:  # a writer that was killed may have left half a line: it must not swallow the next one
                    file.seek(size - 1)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                for record in records:
                    file.write(to_json(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordsError(
                f"could not write a record to {self.path}: {error}. Finished trials are safe; free the disk "
                "or pass another RESULTS folder, then run the same command again."
            ) from error

    def read(self) -> tuple[list[Record], list[str]]:
        """All records, the first of each key, and a warning for each line that is not one."""
        warnings: list[str] = []
        records: dict[TrialKey, Record] = {}
        for path in (self.archive, self.path):
            for _, record in _made(path, lines(path, from_json), warnings):
                records.setdefault(record.key, record)
        return list(records.values()), warnings

    def brief(self) -> tuple[list[Stored], list[str]]:
        """The same in brief, in a small part of the time and of the memory, as most of a record is its curve."""
        warnings: list[str] = []
        # Python need not look for garbage among what is read here: it takes as long as reading it, again and again.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return list(self.scan(warnings)), warnings
        finally:
            gc.freeze()
            if collecting:
                gc.enable()

    def scan(self, warnings: list[str]) -> Iterator[Stored]:
        """One by one what `brief` lists, with all cores where there are very many. Adds to `warnings` as it goes;
        holds the keys that it has seen."""
        seen: set[TrialKey] = set()
        for path, found in ((self.archive, lines(self.archive, from_line)), (self.path, brief_lines(self.path))):
            for offset, (record, name) in _made(path, found, warnings):
                if record.key not in seen:
                    seen.add(record.key)
                    # An archive is brief already, and cannot be read from its middle.
                    whole = partial(itself, record) if path == self.archive else partial(at, path, offset)
                    yield Stored(record, name, whole)

    def write_archive(self, records: Iterable[Record]) -> None:
        """Writes the archive anew, compact and sorted: the same records make the same bytes."""
        texts = sorted(to_json(compact(record)) for record in records)
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.archive.with_suffix(".partial")
        unfinished.write_bytes(gzip.compress("".join(f"{text}\n" for text in texts).encode(), mtime=0))
        os.replace(unfinished, self.archive)


def _made(path: Path, found: Iterable[Line[_T]], warnings: list[str]) -> Iterator[tuple[int, _T]]:
    """The place of each line and what was made of it; adds to `warnings` where nothing could be."""
    for line in found:
        if line.problem:
            warnings.append(f"{path}:{line.number} is not a record and was left out ({line.problem})")
        elif line.made is not None:
            yield line.offset, line.made

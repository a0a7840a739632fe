"""The lines of a file of records, read in one go or, where the file is large, on all cores at once."""

from __future__ import annotations

import gc
import gzip
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Generic, TypeVar

from pacer import paths
from scoring.records.brief import BriefReader
from scoring.records.record import Record

_PART = 64 * 2**20
"""Bytes that are worth a process of their own, which takes a fifth of a second to start."""

_SOME = 1000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Line(Generic[_T]):
    """A line by its number, from 1, and its place in the file: what was made of it, or why it is no record; neither
    for a blank one."""

    number: int
    offset: int
    made: _T | None
    problem: str = ""


def lines(path: Path, parse: Callable[[bytes], _T], start: int = 0, end: int | None = None) -> Iterator[Line[_T]]:
    """What `parse` makes of each line between two places of a file that may be there."""
    if not path.exists():
        return
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        file.seek(start)
        number, offset = 0, start
        while (end is None or offset < end) and (line := file.readline()):
            number, place, offset = number + 1, offset, offset + len(line)
            try:
                made = parse(line.removesuffix(b"\n")) if line != b"\n" else None
            except ValueError as error:
                yield Line(number, place, None, str(error) or type(error).__name__)
            else:
                yield Line(number, place, made)


def brief_lines(path: Path) -> Iterator[Line[tuple[Record, str]]]:
    """The lines of a whole file in brief. Parts of a large one are read by processes beside this one."""
    cuts = _cuts(path)
    spans = list(pairwise(cuts))
    beside = [_started(path, *span) for span in spans[1:]]
    before = number = 0
    for place, span in enumerate(spans):
        for line in _finished(beside[place - 1], path, *span) if place else lines(path, BriefReader(), *span):
            number = before + line.number
            yield replace(line, number=number)
        before = number


def _cuts(path: Path) -> list[int]:
    """The places of a file at which to cut it, all at the start of a line, its two ends among them."""
    size = path.stat().st_size if path.exists() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = max(1, min(cores, size // _PART))
    found = [0]
    if parts > 1:
        with open(path, "rb") as file:
            for part in range(1, parts):
                file.seek(size * part // parts)
                file.readline()
                found.append(file.tell())
    return sorted({*found, size})


@dataclass(frozen=True)
class _Part:
    """A process that reads a part of a file, and the file that it writes its lines to, pickled."""

    process: subprocess.Popen[bytes]
    written: IO[bytes]


def _started(path: Path, start: int, end: int) -> _Part:
    code = "import sys; from scoring.records.lines import write_part; write_part(*sys.argv[1:])"
    command = paths.python_command("-c", code, str(path.absolute()), str(start), str(end))
    written = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed once it has been read
    environment = paths.python_environment()
    return _Part(subprocess.Popen(command, env=environment, stdout=written, stderr=subprocess.DEVNULL), written)


def _finished(part: _Part, path: Path, start: int, end: int) -> Iterator[Line[tuple[Record, str]]]:
    """What it wrote, some at a time so that few are held; read here where it could not."""
    with part.written:
        if part.process.wait() != 0:
            yield from lines(path, BriefReader(), start, end)
            return
        part.written.seek(0)
        with suppress(EOFError):
            while True:
                yield from pickle.load(part.written)


def write_part(path: str, start: str, end: str) -> None:
    """What such a process does."""
    gc.disable()
    found = lines(Path(path), BriefReader(), int(start), int(end))
    while some := list(islice(found, _SOME)):
        sys.stdout.buffer.write(pickle.dumps(some))

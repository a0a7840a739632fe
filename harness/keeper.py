"""Files in which trials keep where they stand: written whole or not at all, and never at the cost of records.

Imports nothing heavy: on a cluster a small process of its own keeps them for trials of other nodes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Protocol

_SPARE_BYTES = 16 * 2**20
"""Room on the disk that checkpoints leave for records, which come first."""


class Keeper(Protocol):
    """Where checkpoints are kept: this module's `read` and `write` are one that does so here."""

    def read(self, path: Path) -> bytes | None:
        """What was written last, None for nothing."""

    def write(self, path: Path, data: bytes) -> None:
        """Replaces what is at `path`, whole or not at all. Raises OSError."""


class _Files:
    """Keeps checkpoints as files of this machine."""

    def read(self, path: Path) -> bytes | None:
        return read(path)

    def write(self, path: Path, data: bytes) -> None:
        write(path, data)


FILES: Keeper = _Files()
"""The keeper where nothing else is asked for."""


def write(path: Path, data: bytes) -> None:
    """Replaces a file.

    Raises OSError where it cannot be written, or would leave too little room for records; the one before stays.
    """
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < _SPARE_BYTES + len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> bytes | None:
    """What a file holds, None where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def discard(path: Path) -> None:
    """Removes a checkpoint, if there is one, and what a writer that was killed left beside it."""
    for left in [path, *path.parent.glob(f"{path.stem}.*.partial")]:
        with contextlib.suppress(OSError):
            left.unlink()

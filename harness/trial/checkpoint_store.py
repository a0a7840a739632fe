"""Atomic checkpoint files; always leaves disk space for records.

Imports nothing heavy: on a cluster a small process of the driver's writes them for trials on other nodes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Protocol

from scoring.records import files

_SPARE_BYTES = 16 * 2**20
"""Room on the disk that checkpoints leave for records, which come first."""


class CheckpointStore(Protocol):
    """Reads and writes checkpoints."""

    def read(self, path: Path) -> bytes | None:
        """The bytes that were written last, None for nothing."""

    def write(self, path: Path, data: bytes) -> None:
        """Replaces what is at `path`, whole or not at all. Raises OSError."""


class Files:
    """Checkpoints as files on this machine, written where that leaves enough room for records."""

    def read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError:
            return None

    def write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < _SPARE_BYTES + len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        files.replace(path, data, synced=True)


FILES: CheckpointStore = Files()
"""The default: this machine's own disk."""


def discard(path: Path) -> None:
    """Removes a checkpoint, if there is one, and what a writer that was killed left beside it."""
    for left in [path, *path.parent.glob(f"{path.name}.*.partial")]:
        with contextlib.suppress(OSError):
            left.unlink()

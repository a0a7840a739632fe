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

from scoring.records import files

_SPARE_BYTES = 16 * 2**20
"""Room on the disk that checkpoints leave for records, which come first."""


class CheckpointStore(Protocol):
    """Where checkpoints are kept."""

    def read(self, path: Path) -> bytes | None:
        """What was written last, None for nothing."""

    def write(self, path: Path, data: bytes) -> None:
        """Replaces what is at `path`, whole or not at all. Raises OSError."""


class Files:
    """Keeps checkpoints as files of this machine, where that leaves enough room for records."""

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
"""The keeper where nothing else is asked for."""


def discard(path: Path) -> None:
    """Removes a checkpoint, if there is one, and what a writer that was killed left beside it."""
    for left in [path, *path.parent.glob(f"{path.name}.*.partial")]:
        with contextlib.suppress(OSError):
            left.unlink()

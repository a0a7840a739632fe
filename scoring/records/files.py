"""Files that are replaced whole or not at all, whoever is killed or reads them meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, data: bytes, *, synced: bool = False) -> None:
    """Puts `data` in place of a file, made with its folder if need be; on disk when this returns if `synced`.

    Raises OSError where that fails; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""Where a trial stands, on disk: enough to go on as if nothing had happened.

A checkpoint is written whole or not at all, and checked when it is read: one that is torn, or of another trial or
other code, is as good as none. No code in it is ever run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

_DIGEST_BYTES = 32

_SPARE_BYTES = 16 * 2**20
"""Room on the disk that checkpoints leave for records, which come first."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """`facts` are the referee's, plain values as JSON holds them; `weights` is the memory that holds the model's,
    as bytes, and `players` the bytes that another player goes on from, both of each rank."""

    facts: Mapping[str, Any]
    weights: Sequence[Tensor]
    players: Sequence[bytes]


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


def save(path: Path, identity: str, checkpoint: Checkpoint, keeper: Keeper = FILES) -> None:
    """Replaces the checkpoint at `path`. Raises OSError where the keeper cannot; the one before stays."""
    body = io.BytesIO()
    torch.save(
        {
            "identity": identity,
            "facts": json.dumps(checkpoint.facts),
            "weights": list(checkpoint.weights),
            "players": [torch.frombuffer(bytearray(state), dtype=torch.uint8) for state in checkpoint.players],
        },
        body,
    )
    keeper.write(path, hashlib.sha256(body.getbuffer()).digest() + body.getbuffer())


def load(path: Path, identity: str, keeper: Keeper = FILES) -> Checkpoint | None:
    """The checkpoint at `path`, None where there is none of this trial that is whole."""
    data = keeper.read(path)
    if data is None:
        return None
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    try:
        held = torch.load(io.BytesIO(body), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError):  # nobody else than torch.save made it
        return None
    if held["identity"] != identity:
        return None
    players = [state.numpy().tobytes() for state in held["players"]]
    return Checkpoint(facts=json.loads(held["facts"]), weights=held["weights"], players=players)


def discard(path: Path) -> None:
    """Removes a checkpoint, if there is one, and what a writer that was killed left beside it."""
    for left in [path, *path.parent.glob(f"{path.stem}.*.partial")]:
        with contextlib.suppress(OSError):
            left.unlink()

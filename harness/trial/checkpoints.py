"""The state of a running trial on disk: enough to go on as if nothing had happened.

A checkpoint is written whole or not at all, and checked when it is read: one that is torn, or of another trial or
other code, is as good as none. No code in it is ever run.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.trial.checkpoint_store import FILES, CheckpointStore
from harness.trial.state import Facts

_DIGEST_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """`facts` are the referee's, plain values as JSON holds them. Of each rank, `weights` are the model's, uint8 of
    shape [bytes], and `players` the bytes that another player goes on from."""

    facts: Facts
    weights: Sequence[Tensor]
    players: Sequence[bytes]


def save(path: Path, identity: str, checkpoint: Checkpoint, checkpoint_store: CheckpointStore = FILES) -> None:
    """Replaces the checkpoint at `path`. Raises OSError where the store cannot write it; the one
    before stays."""
    body = io.BytesIO()
    torch.save(
        {
            "identity": identity,
            "facts": json.dumps(checkpoint.facts),
            "weights": [weights.cpu() for weights in checkpoint.weights],
            "players": [torch.frombuffer(bytearray(state), dtype=torch.uint8) for state in checkpoint.players],
        },
        body,
    )
    checkpoint_store.write(path, hashlib.sha256(body.getbuffer()).digest() + body.getbuffer())


def load(path: Path, identity: str, checkpoint_store: CheckpointStore = FILES) -> Checkpoint | None:
    """The checkpoint at `path`, None where there is none of this trial that is whole."""
    data = checkpoint_store.read(path)
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

"""The state of a player in its training, as bytes from which another one goes on."""

from __future__ import annotations

import io
import random

import numpy as np
import torch

from harness.player.batches import EpochBatches
from harness.player.rank_group import RngStream
from harness.player.state import pack, unpack
from submissions.base import Submission, Training, Validation


def saved(submission: Submission, training: Training, batches: EpochBatches, rng_stream: RngStream | None) -> bytes:
    """All that training needs to go on beside the weights. Raises StateError."""
    file = io.BytesIO()
    torch.save(
        {
            "submission": pack(submission.state_dict(training), training.model),
            "batches": batches.state_dict(),
            "step": training.step,
            "evaluations": [(e.step, e.time_s, e.value) for e in training.evaluations],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if training.workload.device.type == "cuda" else None,
            "draws": None if rng_stream is None else rng_stream.state,
            "numpy": _numpy_state(),
            "python": random.getstate(),
        },
        file,
    )
    return file.getvalue()


def restore(
    submission: Submission, training: Training, batches: EpochBatches, rng_stream: RngStream | None, data: bytes
) -> None:
    """Goes on from what `saved` gave; no code in it is run."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    submission.load_state_dict(training, unpack(state["submission"], training.model))
    batches.load_state_dict(state["batches"])
    training.step = state["step"]
    training.evaluations = tuple(Validation(*each) for each in state["evaluations"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
    if rng_stream is not None:
        rng_stream.state = state["draws"]
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def _numpy_state() -> tuple[str, list[int], int, int, float]:
    """The state of NumPy's global generator in plain values."""
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    kind, keys, position, has_gauss, gauss = state
    return kind, keys.tolist(), position, has_gauss, gauss

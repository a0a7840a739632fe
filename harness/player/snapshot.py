"""Where a player stands in its training, as bytes that another one goes on from."""

from __future__ import annotations

import io
import random

import numpy as np
import torch

from harness.player.batches import EpochBatches
from harness.player.rank_group import RngStream
from harness.player.state import pack, unpack
from submissions.base import Submission, Training, Validation


def saved(submission: Submission, training: Training, batches: EpochBatches, draws: RngStream | None) -> bytes:
    """All that training needs to go on beside the weights. Raises StateError."""
    kind, keys, *place = np.random.get_state(legacy=True)
    file = io.BytesIO()
    torch.save(
        {
            "submission": pack(submission.state_dict(training), training.model),
            "batches": batches.state_dict(),
            "step": training.step,
            "evaluations": [(e.step, e.time_s, e.value) for e in training.evaluations],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if training.workload.device.type == "cuda" else None,
            "draws": None if draws is None else draws.state,
            "numpy": (kind, keys.tolist(), *place),
            "python": random.getstate(),
        },
        file,
    )
    return file.getvalue()


def restore(
    submission: Submission, training: Training, batches: EpochBatches, draws: RngStream | None, data: bytes
) -> None:
    """Takes up what `saved` gave; no code in it is run."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    submission.load_state_dict(training, unpack(state["submission"], training.model))
    batches.load_state_dict(state["batches"])
    training.step = state["step"]
    training.evaluations = tuple(Validation(*each) for each in state["evaluations"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
    if draws is not None:
        draws.state = state["draws"]
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])

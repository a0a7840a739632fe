"""Coordinate-wise clipping: the largest coordinates of the gradient are cut to one size.

Paper: Pan and Li, Toward Understanding Why Adam Converges Faster Than SGD for Transformers, 2023,
arXiv:2306.00204.
Variant: On SGD with heavy-ball momentum: the largest tenth of all coordinates is cut before momentum and decay,
as in the authors' code; warm-up and cosine decay.
Claim: Clipping a small share of coordinates makes SGD, Adam and Adafactor faster on Transformers; shown as
curves.
Against: heavy_ball
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.clipping import clip_coordinates
from submissions.parts.optimizers import sgd
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import MOMENTUM_DEFAULTS, MOMENTUM_SPACE
from submissions.space import LogUniform


class CoordinateClipping(Submission):
    name = "coordinate_clipping"
    space = MOMENTUM_SPACE | {"clipped": LogUniform(0.01, 0.5)}
    defaults = MOMENTUM_DEFAULTS | {"clipped": 0.1}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = clip_coordinates(sgd(model, hp), hp.clipped)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

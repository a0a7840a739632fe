"""What a submission trains, and what its process keeps account of meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn

from harness.player.rank_group import RankGroup, RngStream
from harness.player.spec import PlayerSpec
from workloads.base import Workload


@dataclass
class Hook:
    """The hook of the submission that is running, as failures name it."""

    name: str = "load"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a submission trains: a workload without a name, with `examples` to train on, and the model that is
    evaluated. Of several ranks, `group` ties this one to the others, and `rng_stream` holds the random numbers that
    the model draws. `spec` names neither the workload nor its data."""

    spec: PlayerSpec
    workload: Workload
    model: nn.Module
    examples: int
    device: torch.device
    group: RankGroup | None
    rng_stream: RngStream | None


class SubmissionClock:
    """The submission's time in seconds, as a submission may read it: what the referee last sent, and what has gone
    by since. Several ranks all read what the first one's clock showed after a step."""

    def __init__(self, group: RankGroup | None) -> None:
        self._group = group
        self._sent_s, self._since = 0.0, time.perf_counter()

    def set(self, submission_s: float) -> None:
        """Goes on from the referee's reading."""
        self._sent_s, self._since = submission_s, time.perf_counter()
        if self._group is not None:
            self._group.clock_s = submission_s

    def own_s(self) -> float:
        """This rank's reading."""
        return self._sent_s + time.perf_counter() - self._since

    def __call__(self) -> float:
        return self.own_s() if self._group is None else self._group.clock_s

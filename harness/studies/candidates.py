"""Candidates for a submission's point: how good each is on the workloads that it was tried on, and who goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from scoring import scores
from scoring.records import Outcome, Record
from workloads import targets
from workloads.base import Workload

_NEAR = 0.25
"""The second is near where its mean merit is at most this far below the best one's."""


@dataclass
class Candidate:
    """A point under trial: its number, its hyperparameters once they are known, and its records by workload."""

    number: int
    hp: Mapping[str, object] | None = None
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def point(self) -> Mapping[str, object]:
        """Its hyperparameters, known since its first trial ended."""
        assert self.hp is not None, f"candidate {self.number} was never tried"
        return self.hp

    def merits(self, workloads: Iterable[Workload]) -> dict[str, float]:
        """Its merit on each workload that it was tried on and is made for."""
        tried = [w for w in workloads if w.name in self.records]
        return {
            w.name: merit(w, self.records[w.name])
            for w in tried
            if self.records[w.name].outcome is not Outcome.UNSUITABLE
        }

    def merit(self, workloads: Iterable[Workload]) -> float:
        """The mean of its merits."""
        return fmean(self.merits(workloads).values() or [0.0])

    def add(self, record: Record) -> None:
        """Takes in the record of a trial of it, and what its hyperparameters were."""
        self.records[record.workload] = record
        self.hp = record.hp


def survivors(ranked: Sequence[Candidate], workloads: Sequence[Workload], number: int) -> list[Candidate]:
    """Who goes on after a round: the better half after the first, then the best and the second where it is near."""
    best = ranked[0]
    if not best.merits(workloads):  # not made for the workloads so far: nobody was tried
        return list(ranked)
    if number == 0:
        return list(ranked[: max(2, math.ceil(len(ranked) / 2))])
    return [each for each in ranked[:2] if each.merit(workloads) >= best.merit(workloads) - _NEAR]


def merit(workload: Workload, record: Record) -> float:
    """The credit in examples of a run that reached the target, in [0, 1]; else minus the share that was left."""
    kept = targets.load(workload)
    assert kept is not None, f"{workload.name} has no target: chosen_workloads lets none pass"
    evidence = kept.evidence
    values = [evaluation.value for evaluation in record.evaluations if evaluation.value is not None]
    if record.crossing is not None:
        mark = median(steps or workload.step_hint for steps in evidence["reference_steps"]) * workload.batch_size
        cost = max(1, record.crossing.examples)
        return float(scores.anchored(np.array([[float(cost)]]), reference=None, budget=np.array([mark]))[0, 0])
    if record.outcome is Outcome.DIVERGED or not values:
        return -1.0
    start = median(run["validation"][0] for run in evidence["reference"])
    best = max(values) if workload.metric.higher_is_better else min(values)
    return -float(np.clip((best - kept.target) / (start - kept.target), 0.0, 1.0))

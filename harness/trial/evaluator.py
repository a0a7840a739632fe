"""Evaluates a trial's weights, and makes those that it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import nn

from harness.player.weights import Weights
from harness.trial.evaluator_pool import EvaluatorPool
from workloads.base import Arrays, Workload
from workloads.datasets.base import open_split
from workloads.metrics import EvalResult, evaluate


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Evaluates a trial's weights on data that players do not have; a `pool` shares the work out over devices."""

    workload: Workload
    weights: Weights
    folder: Path
    validation: Arrays
    pool: EvaluatorPool | None

    @classmethod
    def of(cls, workload: Workload, folder: Path, weights: Weights, pool: EvaluatorPool | None = None) -> Self:
        """The evaluator of weights on the splits in a dataset's folder; opens the validation data."""
        validation = open_split(folder, "validation", workload.validation_examples)
        return cls(workload=workload, weights=weights, folder=folder, validation=validation, pool=pool)

    def ready(self) -> None:
        """Returns once nothing that an evaluation needs is still being made."""
        if self.pool is not None:
            self.pool.ready()

    def validated(self) -> EvalResult:
        """The validation metrics of the weights as they are now."""
        return self._evaluated("validation", self.workload.validation_examples, self.validation)

    def tested(self) -> EvalResult:
        """The test metrics of the weights that were validated last."""
        limit = self.workload.test_examples
        return self._evaluated("test", limit, open_split(self.folder, "test", limit))

    def _evaluated(self, split: str, limit: int | None, arrays: Arrays) -> EvalResult:
        if self.pool is None:
            return evaluate(self.workload, self.weights.judged, arrays, self.weights.device)
        return self.pool.evaluate(self.weights.judged, split, limit, arrays)


def initial_model(workload: Workload, seed: int) -> nn.Module:
    """The workload's model with the initial weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return workload.model().train()

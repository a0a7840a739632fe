"""The judge of a trial's weights, and the weights that it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.player.weights import Weights
from harness.trial.evaluator_pool import EvaluatorPool
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import EvalResult, evaluate


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Judges a trial's weights: on data that players have not, with helpers where there are several devices."""

    workload: Workload
    weights: Weights
    folder: Path
    validation: Mapping[str, Any]
    helpers: EvaluatorPool | None

    def ready(self) -> None:
        """Returns once nothing that is needed to judge is still being made."""
        if self.helpers is not None:
            self.helpers.ready()

    def validated(self) -> EvalResult:
        """The validation metrics of the weights as they are now."""
        return self._judged("validation", self.workload.validation_examples, self.validation)

    def tested(self) -> EvalResult:
        """The test metrics of the weights that were validated last."""
        limit = self.workload.test_examples
        return self._judged("test", limit, open_split(self.folder, "test", limit))

    def _judged(self, split: str, limit: int | None, arrays: Mapping[str, Any]) -> EvalResult:
        if self.helpers is None:
            return evaluate(self.workload, self.weights.judged, arrays, self.weights.device)
        return self.helpers.evaluate(self.weights.judged, split, limit, arrays)


def initial_model(workload: Workload, seed: int) -> nn.Module:
    """The workload's model with the initial weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return workload.model().train()

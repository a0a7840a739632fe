"""EL2N: after a first part of training, examples are scored by the size of their error and the easy ones left out.

Paper: Paul et al., Deep Learning on a Data Diet: Finding Important Examples Early in Training, 2021,
arXiv:2107.07075.
Variant: On the reference: one network in place of ten scores a random pool (three tenths of the horizon's
batches, without dropout) at a tenth of the horizon, on the clock, and goes on with the hardest of it. Sequences
and several labels: the mean over their units.
Claim: Half of CIFAR-10 can be left out without loss of accuracy, a quarter of CIFAR-100, at the same number of
steps.
Against: nadamw
Expects: level
Needs: example indices
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from submissions.base import Batches, Configured, Submission, Training, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice
from workloads.base import PADDING, Batch, LossKind

_POOL = 0.3
_KINDS = (LossKind.CROSS_ENTROPY, LossKind.BINARY_CROSS_ENTROPY)


class EL2N(Submission):
    name = "el2n"
    space = ADAM_SPACE | {"score_at": Choice(0.05, 0.1, 0.2), "keep": Choice(0.5, 0.75, 0.9)}
    defaults = ADAM_DEFAULTS | {"score_at": 0.1, "keep": 0.5}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        self.kept: np.ndarray | None = None
        self.order = np.empty(0, np.int64)
        self.random = np.random.default_rng(workload.seed)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def unsuitable(self, workload: WorkloadView) -> str | None:
        if workload.loss_kind in _KINDS:
            return None
        return f"EL2N scores the error of predicted class probabilities, and the loss here is {workload.loss_kind}."

    def select(self, training: Training, batches: Batches) -> Batch:
        workload = training.workload
        if training.step < round(training.hp.score_at * workload.step_hint):
            return super().select(training, batches)
        if self.kept is None:
            self.kept = self._hardest(training, batches)
        if len(self.order) < workload.batch_size:
            self.order = self.random.permutation(self.kept)
        chosen, self.order = np.split(self.order, [workload.batch_size])
        return batches.take(chosen)

    def _hardest(self, training: Training, batches: Batches) -> np.ndarray:
        """The row numbers of the examples of a random pool with the highest scores."""
        workload = training.workload
        size = min(workload.train_examples, round(_POOL * workload.step_hint) * workload.batch_size)
        pool = self.random.permutation(workload.train_examples)[:size]
        training.model.eval()
        with torch.no_grad():
            scores = [
                _error(training.model(*batch.inputs), batch)
                for rows in np.array_split(pool, max(1, size // workload.batch_size))
                for batch in [batches.take(rows)]
            ]
        training.model.train()
        hardest = torch.cat(scores).argsort(descending=True).cpu().numpy()
        return pool[hardest[: max(workload.batch_size, round(training.hp.keep * size))]]

    def state_dict(self, training: Training) -> dict[str, Any]:
        own = {"kept": self.kept, "order": self.order, "random": self.random.bit_generator.state}
        return super().state_dict(training) | own

    def load_state_dict(self, training: Training, state: dict[str, Any]) -> None:
        super().load_state_dict(training, state)
        self.kept, self.order = state["kept"], state["order"]
        self.random.bit_generator.state = state["random"]


def _error(outputs: Tensor, batch: Batch) -> Tensor:
    """The score of each example [B]: the Euclidean norm of predicted probabilities minus targets, in the mean over
    its valid units. Outputs [B, C] or [B, L, C] with class targets, or logits of the targets' shape."""
    if batch.targets.is_floating_point():
        known = ~batch.targets.isnan()
        squares = (outputs.sigmoid() - batch.targets.nan_to_num()).square().where(known, 0.0)
        count = known.view(len(batch), -1).sum(dim=1).clamp(min=1)
        return (squares.view(len(batch), -1).sum(dim=1) / count).sqrt()
    known = batch.targets != PADDING
    errors = outputs.softmax(dim=-1)
    errors = errors - torch.nn.functional.one_hot(batch.targets.clamp(min=0), outputs.shape[-1])
    norms = errors.norm(dim=-1).where(known, 0.0).view(len(batch), -1)
    return norms.sum(dim=1) / known.view(len(batch), -1).sum(dim=1).clamp(min=1)

"""Label smoothing: targets mixed with the uniform distribution over the classes.

Paper: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016, arXiv:1512.00567; Mueller
et al., When Does Label Smoothing Help?, 2019, arXiv:1906.02629.
Variant: On the reference's rule; for labels of two classes towards one half. The metric knows nothing of it.
Claim: Top-1 error of Inception on ImageNet falls from 23.1 to 22.8 %, and a Transformer's BLEU rises from 25.3 to
25.8 while its perplexity gets worse.
Against: nadamw
Expects: nothing
Needs: an option of the loss
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.parts.optimizers import nadamw
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import ADAM_DEFAULTS, ADAM_SPACE
from submissions.space import Choice
from workloads.base import Batch, LossKind


class LabelSmoothing(Submission):
    name = "label_smoothing"
    space = ADAM_SPACE | {"smoothing": Choice(0.02, 0.05, 0.1)}
    defaults = ADAM_DEFAULTS | {"smoothing": 0.1}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = nadamw(model, hp)
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)

    def unsuitable(self, workload: WorkloadView) -> str | None:
        if workload.loss_kind in (LossKind.CROSS_ENTROPY, LossKind.BINARY_CROSS_ENTROPY):
            return None
        return f"Label smoothing needs classes as targets, and the loss here is {workload.loss_kind}."

    def update(self, training: Training, batch: Batch) -> Tensor:
        loss = training.closure(batch, training.hp.smoothing)()
        training.optimizer.step()
        training.advance()
        return loss

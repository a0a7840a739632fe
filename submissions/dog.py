"""DoG: the step size is the largest distance from the start over the root of the summed squared gradients.

Paper: Ivgi et al., DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule, 2023, arXiv:2302.12022.
Variant: The authors' dog-optimizer, with their polynomial-decay average for evaluation (gamma 8); `reps_rel` is a
hundred times larger for models with BatchNorm, as they advise. No schedule.
Claim: Close to SGD with a tuned learning rate on vision and language transfer tasks, without one.
Against: sgd
Expects: level
Needs: weights for evaluation
"""

from __future__ import annotations

from types import SimpleNamespace

import dog
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.averages import Running, WeightAverage, polynomial
from submissions.parts.batch_norm import norms
from submissions.space import Choice, LogUniform


class DoG(Submission):
    name = "dog"
    space = {"lr": LogUniform(0.3, 3.0), "reps_rel": LogUniform(1e-7, 1e-3), "gamma": Choice(1.0, 8.0, 32.0)}
    defaults = {"lr": 1.0, "reps_rel": 1e-6, "gamma": 8.0}

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        reps_rel = hp.reps_rel * (100 if norms(model) else 1)
        optimizer = dog.DoG(model.parameters(), reps_rel=reps_rel, lr=hp.lr)
        return optimizer, None, WeightAverage(model, Running(polynomial(hp.gamma)))

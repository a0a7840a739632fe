"""How a submission is loaded: its file, its hyperparameters, and whether it takes the workload on."""

from __future__ import annotations

import random
import site

import numpy as np
import torch

from harness.player.messages import Loaded
from harness.player.spec import PlayerSpec
from harness.player.task import Hook, Task
from harness.protocol import seeds
from scoring.records import Outcome
from submissions.base import Submission, WorkloadView
from submissions.registry import load
from workloads.roles import parameter_roles


def load_submission(task: Task, hook: Hook) -> tuple[Submission, WorkloadView, Loaded]:
    """Imports the submission and asks it what it asks before its clock runs. Raises whatever it raises."""
    view = _view(task)
    _seed_everything(task.spec.seed)
    if task.spec.sandbox_spec.packages is not None:
        site.addsitedir(str(task.spec.sandbox_spec.packages))
    submission = load(task.spec.submission, task.spec.sandbox_spec.scratch, task.workload)
    return submission, view, _loaded(task.spec, submission, view, hook)


def _loaded(spec: PlayerSpec, submission: Submission, view: WorkloadView, hook: Hook) -> Loaded:
    """The hyperparameters and the first batch size, or why the submission declines the trial."""
    try:
        hp = _point(spec, submission)
    except seeds.NoPointLeft as none:
        return Loaded(hp={}, batch_size=0, declined=(Outcome.COMPLETE, str(none)))
    hook.name = "unsuitable"
    reason = submission.unsuitable(view)
    hook.name = "batch_size"
    declined = None if reason is None else (Outcome.UNSUITABLE, reason)
    return Loaded(hp=hp, batch_size=submission.batch_size(view), declined=declined)


def _point(spec: PlayerSpec, submission: Submission) -> dict[str, object]:
    """The trial's hyperparameters: as ordered, the defaults of the self-tuning ruleset, or a point of the space."""
    if spec.hp is not None:
        return dict(spec.hp)
    if not spec.searches:
        return {**submission.defaults, **(spec.submission.point or {})}
    return {**submission.defaults, **seeds.point(submission.space, spec.points_seed, spec.point)}


def _view(task: Task) -> WorkloadView:
    workload = task.workload
    return WorkloadView(
        loss_kind=workload.loss_kind,
        roles=parameter_roles(task.model, workload.heads),
        train_examples=task.examples,
        batch_size=workload.batch_size,
        step_hint=workload.step_hint,
        budget_s=task.spec.budget_s,
        target=workload.target,
        higher_is_better=workload.metric.higher_is_better,
        device=task.device,
        seed=task.spec.seed,
    )


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)

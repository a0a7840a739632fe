"""A folder written for AlgoPerf as a Pacer submission."""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from submissions.algoperf.compat.random_utils import Key, PRNGKey, fold_in
from submissions.algoperf.counterparts import scaled_batch_size
from submissions.algoperf.workload import TrialWorkload, as_dict
from submissions.base import Batches, Submission, Training, WorkloadView
from submissions.space import Points, Space
from workloads.base import Workload

MEANING = 1  # raised when results change: see submissions/environment.py

_PURPOSES = 3  # of keys in a step
_WRAPPERS = ("module", "_orig_mod")  # of DistributedDataParallel and AveragedModel, and of torch.compile


class AlgoPerfSubmission(Submission):
    """Calls the functions of `module`, a loaded `submission.py`, as AlgoPerf's runner does.

    `space` is what its `tuning_search_space.json` says; a submission without one is given None as hyperparameters.
    """

    def __init__(self, name: str, module: ModuleType, space: Space, workload: Workload) -> None:
        self.name = name  # type: ignore[misc]
        self.space = space  # type: ignore[misc]
        self.defaults = _first(space)  # type: ignore[misc]
        self._module = module
        self._counterparts, self._loss = workload.algoperf, workload.loss
        self._metric = f"validation/{workload.metric.name}"
        taken = inspect.signature(module.update_params).parameters
        self._takes_times = "train_state" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values())
        self._own_weights: dict[str, Tensor] = {}

    def unsuitable(self, workload: WorkloadView) -> str | None:
        if self._asked_size(workload) is not None:
            return None
        return f"Its get_batch_size knows none of {', '.join(self._counterparts)}."

    def batch_size(self, workload: WorkloadView) -> int:
        return self._asked_size(workload) or workload.batch_size

    def _asked_size(self, workload: WorkloadView) -> int | None:
        size, most = workload.batch_size, workload.train_examples
        return scaled_batch_size(self._module.get_batch_size, self._counterparts, size, most)

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> None:
        point = vars(hp)
        self._hp = namedtuple("Hyperparameters", point)(**point) if point else None
        self._workload = TrialWorkload(model, workload, self._loss, point.get("dropout_rate"))
        self._key = PRNGKey(workload.seed)
        self._size = self.batch_size(workload)
        self._model, self._params, self._model_state = model, model, None
        self._state = self._module.init_optimizer_state(self._workload, model, None, self._hp, self._key)

    def select(self, training: Training, batches: Batches) -> Any:
        return self._module.data_selection(
            self._workload,
            _queue(batches, self._size),
            self._state,
            self._params,
            self._model_state,
            self._hp,
            training.step,
            self._rng(training, 0),
        )

    def update(self, training: Training, batch: Any) -> Tensor:
        times = {"train_state": _train_state(training)} if self._takes_times else {}
        made = self._module.update_params(**self._arguments(training, 1), batch=batch, **times)
        self._state, self._params, self._model_state = made
        loss = self._workload.last_loss
        return torch.tensor(torch.nan) if loss is None else loss

    def before_eval(self, training: Training) -> None:
        prepare = getattr(self._module, "prepare_for_eval", None)  # since 0.6
        if prepare is not None:
            self._state, self._params, self._model_state = prepare(**self._arguments(training, 2))
        # The referee looks at the trial's own model: what else is to be judged is put there for the while.
        shown = _unwrapped(self._params)
        if shown is not self._model:
            self._own_weights = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
            self._model.load_state_dict(shown.state_dict())

    def after_eval(self, training: Training) -> None:
        if self._own_weights:
            self._model.load_state_dict(self._own_weights)
            self._own_weights = {}

    def state_dict(self, training: Training) -> dict[str, Any]:
        state = {name: part.state_dict() if _stateful(part) else part for name, part in self._parts().items()}
        params = _unwrapped(self._params)
        container = {} if params is self._model else {"params": params.state_dict()}
        return {"state": state, "model_state": self._model_state, **container}

    def load_state_dict(self, training: Training, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            if _stateful(part):
                part.load_state_dict(state["state"][name])
            elif isinstance(self._state, dict):
                self._state[name] = state["state"][name]
        self._model_state = state["model_state"]
        if "params" in state:
            _unwrapped(self._params).load_state_dict(state["params"])

    def _parts(self) -> dict[str, Any]:
        """The optimizer state by name; AlgoPerf's is a dict by custom, not by rule."""
        return self._state if isinstance(self._state, dict) else {"state": self._state}

    def _arguments(self, training: Training, purpose: int) -> dict[str, Any]:
        """What `update_params` and `prepare_for_eval` have in common."""
        return {
            "workload": self._workload,
            "current_param_container": self._params,
            "current_params_types": self._workload.model_params_types,
            "model_state": self._model_state,
            "hyperparameters": self._hp,
            "loss_type": self._workload.loss_type,
            "optimizer_state": self._state,
            "eval_results": [(e.step, {self._metric: e.value, "score": e.time_s}) for e in training.evaluations],
            "global_step": training.step,
            "rng": self._rng(training, purpose),
        }

    def _rng(self, training: Training, purpose: int) -> Key:
        """The key of a step for a purpose: 0 data selection, 1 the update, 2 the evaluation."""
        return fold_in(self._key, _PURPOSES * training.step + purpose)


def _first(space: Space) -> Mapping[str, Any]:
    """The point of the self-tuning ruleset: the first of a list, or the middle of all ranges."""
    if isinstance(space, Points):
        return space.values[0]
    return {name: domain.at(0.5) for name, domain in space.items()}


def _queue(batches: Batches, size: int) -> Iterator[dict[str, Any]]:
    while True:
        yield as_dict(batches.next(size))


def _train_state(training: Training) -> Mapping[str, Any]:
    """What AlgoPerf's runner knows of the time; evaluations and logging are off the clock and count as 0."""
    last = training.evaluations[-1].time_s if training.evaluations else 0.0
    return MappingProxyType(
        {
            "accumulated_submission_time": training.elapsed_s,
            "accumulated_eval_time": 0.0,
            "accumulated_logging_time": 0.0,
            "last_eval_time": last,
            "last_step_end_time": training.elapsed_s,
            "is_time_remaining": training.elapsed_s < training.workload.budget_s,
            "validation_goal_reached": False,
            "test_goal_reached": False,
            "training_complete": False,
        }
    )


def _stateful(part: Any) -> bool:
    return hasattr(part, "state_dict") and hasattr(part, "load_state_dict")


def _unwrapped(container: nn.Module) -> nn.Module:
    """The model inside of wrappers that hold it."""
    for name in _WRAPPERS:
        inner = getattr(container, name, None)
        if isinstance(inner, nn.Module):
            return _unwrapped(inner)
    return container

"""Any `torch.optim.Optimizer` class as a submission, from one line of text.

    torch.optim:RMSprop
    torch.optim:SGD(lr=0.1, momentum=0.9)
    pytorch_optimizer:AdamP(lr=loguniform(1e-4, 1e-2), weight_decay=choice(0, 0.01))
    schedulefree:AdamWScheduleFree(lr=0.003)@constant

Arguments are passed to the class; those given as a domain are searched in the external ruleset, and at the
middle of the domain in the self-tuning one. Where no learning rate is given, the external ruleset searches a
factor of ten around the class's own. The learning rate follows the reference's warm-up and cosine unless
another schedule is named after `@`, so that what differs from the reference is the update rule. A class that has
`train()` and `eval()` modes is evaluated in the latter, with BatchNorm's statistics taken anew, and its `step` is
given a closure where it takes one.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from submissions.base import Configured, Submission, Training, WorkloadView
from submissions.parts.modes import ModeAverage
from submissions.parts.schedules import SCHEDULES
from submissions.space import Choice, Domain, LogUniform, Uniform
from workloads.base import Batch

MEANING = 1  # raised when results change: see submissions/environment.py

_DOMAINS = {"loguniform": LogUniform, "uniform": Uniform, "choice": Choice}
_FORM = "expected MODULE:CLASS, MODULE:CLASS(key=value, ...) or either with @SCHEDULE, like torch.optim:SGD(lr=0.1)"


@dataclass(frozen=True)
class OptimizerSpec:
    """The parts of `module:class(arguments)@schedule`."""

    module: str
    class_name: str
    arguments: Mapping[str, Any]
    schedule: str


def parse(text: str) -> OptimizerSpec:
    """Reads the one-line form without running any of it. Raises ValueError that says what is wrong with it."""
    module, colon, rest = text.partition(":")
    call, _, schedule = rest.partition("@")
    schedule = schedule.strip() or "warmup_cosine"
    if schedule not in SCHEDULES:
        raise ValueError(f"{text!r}: no schedule {schedule!r}; known: {', '.join(SCHEDULES)}")
    try:
        tree = ast.parse(call.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not a Python call ({error.msg}); {_FORM}") from None
    if isinstance(tree, ast.Name):
        tree = ast.Call(func=tree, args=[], keywords=[])
    if not (colon and isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)) or tree.args:
        raise ValueError(f"{text!r}: {_FORM}")
    if not all(part.isidentifier() for part in module.strip().split(".")):
        raise ValueError(f"{text!r}: {module!r} is no module name; {_FORM}")
    arguments = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ValueError(f"{text!r}: {_FORM}")
        arguments[keyword.arg] = _argument(text, keyword.value)
    return OptimizerSpec(module.strip(), tree.func.id, arguments, schedule)


def _argument(text: str, node: ast.expr) -> Any:
    try:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DOMAINS:
            return _DOMAINS[node.func.id](*(ast.literal_eval(a) for a in node.args))
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{text!r}: cannot read {ast.unparse(node)!r} ({error}); an argument is a literal, "
            "loguniform(low, high), uniform(low, high) or choice(a, b, ...)"
        ) from None


class OptimizerByName(Submission):
    """The submission that one line describes. Raises ImportError or TypeError where there is no such class."""

    def __init__(self, text: str) -> None:
        spec = parse(text)
        self._schedule = SCHEDULES[spec.schedule]
        found = getattr(importlib.import_module(spec.module), spec.class_name, None)
        if not (inspect.isclass(found) and issubclass(found, Optimizer)):
            raise TypeError(f"{spec.module}:{spec.class_name} is not a subclass of torch.optim.Optimizer")
        self._class: Callable[..., Optimizer] = found
        self._takes_closure = len(inspect.signature(found.step).parameters) > 1
        self.name = text  # type: ignore[misc]
        self._fixed = {k: v for k, v in spec.arguments.items() if not isinstance(v, Domain)}
        space = {k: v for k, v in spec.arguments.items() if isinstance(v, Domain)}
        defaults = {k: v.at(0.5) for k, v in space.items()}
        own_lr = inspect.signature(found).parameters.get("lr")
        if "lr" not in spec.arguments and own_lr is not None and isinstance(own_lr.default, float):
            space["lr"] = LogUniform(own_lr.default / 10, own_lr.default * 10)
            defaults["lr"] = own_lr.default
        self.space, self.defaults = space, defaults  # type: ignore[misc]

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = self._class(model.parameters(), **self._fixed, **vars(hp))
        # Optimizers that average iterates (schedulefree) refuse to step in the wrong mode; most have no modes.
        average = ModeAverage(model, optimizer) if hasattr(optimizer, "eval") else None  # pyright: ignore[reportArgumentType]
        return optimizer, self._schedule(optimizer, workload.step_hint), average

    def update(self, training: Training, batch: Batch) -> Tensor:
        closure, losses = training.closure(batch), []

        def evaluate() -> Tensor:
            losses.append(closure())
            return losses[-1]

        # Most optimizers merely call a closure once, some cannot do without one, and a few know none.
        if self._takes_closure:
            training.optimizer.step(evaluate)  # pyright: ignore[reportArgumentType, reportCallIssue]
        else:
            evaluate()
            training.optimizer.step()
        training.advance()
        return losses[0]

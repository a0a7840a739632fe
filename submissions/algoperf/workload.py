"""The workload as an AlgoPerf submission sees it, made from a trial's model, view and loss."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from submissions.algoperf.compat.param_utils import param_types, pytorch_param_shapes
from submissions.algoperf.compat.pytorch_utils import update_batch_norm_fn
from submissions.algoperf.compat.spec import ForwardPassMode, LossType, Workload
from submissions.base import WorkloadView
from workloads.base import PADDING, Batch, LossFunction, LossKind, Role

MEANING = 1  # raised when results change: see submissions/environment.py

LOSS_TYPES = {
    LossKind.CROSS_ENTROPY: LossType.SOFTMAX_CROSS_ENTROPY,
    LossKind.BINARY_CROSS_ENTROPY: LossType.SIGMOID_CROSS_ENTROPY,
    LossKind.L1: LossType.MEAN_ABSOLUTE_ERROR,
    LossKind.CTC: LossType.CTC_LOSS,
}
_SMOOTHED = (LossKind.CROSS_ENTROPY, LossKind.BINARY_CROSS_ENTROPY)


class TrialWorkload(Workload):
    """AlgoPerf's methods on a Pacer trial. `last_loss` is the mean of the last call of `loss_fn`, None before one.

    `dropout_rate` is the trial's own, which a call of `model_fn` that names none uses; None for the model's.
    """

    def __init__(
        self, model: nn.Module, view: WorkloadView, loss: LossFunction, dropout_rate: float | None
    ) -> None:
        self.step_hint = view.step_hint
        self.loss_type = LOSS_TYPES[view.loss_kind]
        self.num_train_examples = view.train_examples
        self.validation_target_value = view.target
        self.max_allowed_runtime_sec = view.budget_s
        self.param_shapes = pytorch_param_shapes(model)
        self.model_params_types = param_types(model, view.roles)
        self.last_loss: Tensor | None = None
        self._roles, self._loss, self._loss_kind = view.roles, loss, view.loss_kind
        dropouts = [module for module in model.modules() if isinstance(module, _DropoutNd)]
        self._own_dropout = {module: module.p if dropout_rate is None else dropout_rate for module in dropouts}

    def is_output_params(self, param_key: str) -> bool:
        """Whether a parameter belongs to the output layer."""
        return self._roles[param_key] is Role.HEAD

    def model_fn(
        self,
        params: nn.Module,
        augmented_and_preprocessed_input_batch: Mapping[str, Any],
        model_state: Any,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Any, Any]:
        """(logits, model state). Without gradients in EVAL mode; `dropout_rate` holds for this call."""
        training = mode is ForwardPassMode.TRAIN
        params.train(training)
        for module in params.modules():
            if isinstance(module, _BatchNorm):
                update_batch_norm_fn(module, update_batch_norm)
                if training and use_running_average_bn:
                    module.eval()
            elif isinstance(module, _DropoutNd):
                module.p = self._own_dropout.get(module, module.p) if dropout_rate is None else dropout_rate
        inputs = augmented_and_preprocessed_input_batch["inputs"]
        with nullcontext() if training else torch.no_grad():
            return params(*inputs if isinstance(inputs, tuple) else (inputs,)), model_state

    def loss_fn(
        self,
        label_batch: Tensor,
        logits_batch: Any,
        mask_batch: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> dict[str, Tensor]:
        """The loss as `summed`, `n_valid_examples` (tokens, say) and `per_example` [B], summed over units.

        `mask_batch` is a weight for each example [B], or 0 and 1 for each unit, of the shape of the targets. Losses
        without classes take no notice of `label_smoothing`, as in AlgoPerf. Raises ValueError for another mask.
        """
        targets, weights = _masked(label_batch, mask_batch)
        batch = Batch(inputs=(), targets=targets, index=torch.arange(len(targets), device=targets.device))
        smoothing = label_smoothing if self._loss_kind in _SMOOTHED else 0.0
        terms = self._loss(logits_batch, batch, label_smoothing=smoothing)
        if weights is not None:
            terms = terms._replace(summed=terms.summed * weights, units=terms.units * weights)
        total, valid = terms.total()
        self.last_loss = total.detach() / valid.detach()
        return {"summed": total, "n_valid_examples": valid, "per_example": terms.summed}

    def init_model_fn(self, *args: Any, **kwargs: Any) -> None:
        """Raises RuntimeError: the initial weights belong to the trial."""
        raise RuntimeError("init_model_fn is not for submissions: a trial's initial weights are the harness's")


def as_dict(batch: Batch) -> dict[str, Any]:
    """A batch under AlgoPerf's keys: `inputs`, `targets`, and `weights`, 0 or 1, where some units are missing."""
    found: dict[str, Any] = {
        "inputs": batch.inputs[0] if len(batch.inputs) == 1 else batch.inputs,
        "targets": batch.targets,
    }
    if batch.targets.dim() > 1:
        missing = batch.targets.isnan() if batch.targets.is_floating_point() else batch.targets == PADDING
        if missing.any():
            found["weights"] = (~missing).float()
    return found


def _masked(targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The targets with masked units marked as missing, and the weights of the examples, None for all one."""
    if mask is None:
        return targets, None
    if mask.numel() == len(targets):
        return targets, mask.reshape(len(targets))
    if mask.shape != targets.shape or not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"a mask of shape {list(mask.shape)} for targets of shape {list(targets.shape)}: expected a weight for "
            "each example, or 0 and 1 for each target"
        )
    missing = float("nan") if targets.is_floating_point() else PADDING
    return targets.masked_fill(mask == 0, missing), None

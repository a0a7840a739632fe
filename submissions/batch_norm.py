"""BatchNorm statistics for weights that were never trained with: averages need their own before an evaluation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workloads.base import Batch


def reestimate(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Replaces the running statistics by plain averages over some batches; a model without BatchNorm is left alone.

    As `torch.optim.swa_utils.update_bn` does, for models of any number of inputs.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    with torch.no_grad():
        for batch in batches:
            model(*batch.inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum

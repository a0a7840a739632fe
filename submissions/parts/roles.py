"""Parameters sorted by what they are for."""

from __future__ import annotations

from torch import nn

from submissions.base import WorkloadView
from workloads.base import Role

MEANING = 1  # raised when results change: see submissions/environment.py

_MATRICES = (Role.WEIGHT, Role.CONV, Role.ATTENTION)


def hidden_matrices(model: nn.Module, workload: WorkloadView) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that map one hidden layer to the next, and all other parameters (embeddings, heads, vectors)."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        hidden = workload.roles[name] in _MATRICES and parameter.ndim >= 2
        (matrices if hidden else others).append(parameter)
    return matrices, others

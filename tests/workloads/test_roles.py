"""Roles of parameters, by the modules that hold them."""

import pytest
import torch
from torch import nn

from workloads.base import Role
from workloads.roles import parameter_roles


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.table = nn.Embedding(3, 4)
        self.attention = nn.ModuleDict({"query": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
        self.mixer = nn.MultiheadAttention(4, 2)
        self.dense = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(()))
        self.free = nn.Parameter(torch.ones(2, 2))
        self.head = nn.Linear(4, 2)


def test_every_kind_of_module():
    roles = parameter_roles(Everything(), ("head.weight", "head.bias"))
    assert roles == {
        "scale": Role.BIAS,
        "free": Role.WEIGHT,
        "conv.weight": Role.CONV,
        "conv.bias": Role.BIAS,
        "norm.weight": Role.NORM_SCALE,
        "norm.bias": Role.NORM_BIAS,
        "table.weight": Role.EMBEDDING,
        "attention.query.weight": Role.ATTENTION,
        "attention.query.bias": Role.BIAS,
        "attention.norm.weight": Role.NORM_SCALE,
        "attention.norm.bias": Role.NORM_BIAS,
        "mixer.in_proj_weight": Role.ATTENTION,
        "mixer.in_proj_bias": Role.BIAS,
        "mixer.out_proj.weight": Role.ATTENTION,
        "mixer.out_proj.bias": Role.BIAS,
        "dense.weight": Role.WEIGHT,
        "dense.bias": Role.BIAS,
        "head.weight": Role.HEAD,
        "head.bias": Role.HEAD,
    }


def test_a_head_that_is_not_there_is_told():
    with pytest.raises(ValueError, match=r"haed.*head\.weight"):
        parameter_roles(Everything(), ("haed.weight",))

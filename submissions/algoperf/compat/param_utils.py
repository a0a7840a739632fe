"""The module `algoperf.param_utils`: what each parameter of a model is, in AlgoPerf's terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from submissions.algoperf.compat.spec import ParameterType, ShapeTuple
from workloads.base import Role
from workloads.roles import parameter_roles

MEANING = 1  # raised when results change: see submissions/environment.py

_ATTENTION = {
    "qkv": ParameterType.ATTENTION_QKV,
    "key_value": ParameterType.ATTENTION_KV,
    "query": ParameterType.ATTENTION_Q,
    "key": ParameterType.ATTENTION_K,
    "value": ParameterType.ATTENTION_V,
    "out": ParameterType.ATTENTION_OUT,
}
"""By the name of the layer inside a module `attention`."""

_BY_ROLE = {
    Role.WEIGHT: ParameterType.WEIGHT,
    Role.HEAD: ParameterType.WEIGHT,
    Role.CONV: ParameterType.CONV_WEIGHT,
    Role.EMBEDDING: ParameterType.EMBEDDING,
    Role.BIAS: ParameterType.BIAS,
}


def pytorch_param_shapes(model: nn.Module) -> dict[str, ShapeTuple]:
    """The shape of each parameter by name."""
    return {name: ShapeTuple(tuple(parameter.shape)) for name, parameter in model.named_parameters()}


def param_types(model: nn.Module, roles: Mapping[str, Role]) -> dict[str, ParameterType]:
    """The type of each parameter of a workload's model by name."""
    return {name: _type(model.get_submodule(name.rpartition(".")[0]), name, role) for name, role in roles.items()}


def _type(owner: nn.Module, name: str, role: Role) -> ParameterType:
    *path, _ = name.split(".")
    if role in (Role.NORM_SCALE, Role.NORM_BIAS):
        kind = "BATCH_NORM" if isinstance(owner, _BatchNorm) else "LAYER_NORM"
        return ParameterType[f"{kind}_{'SCALE' if role is Role.NORM_SCALE else 'BIAS'}"]
    if role is Role.ATTENTION:
        return _ATTENTION[path[-1]]
    if role is Role.BIAS and "attention" in path:
        return ParameterType.ATTENTION_BIAS
    if role is Role.HEAD:  # AlgoPerf knows heads by `is_output_params` and gives them the type of their layer
        return _BY_ROLE[parameter_roles(owner)[name.rpartition(".")[2]]]
    return _BY_ROLE[role]

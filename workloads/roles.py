"""What each parameter of a model is for, read off the types and names of its modules."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from workloads.base import Role

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def parameter_roles(model: nn.Module, heads: Collection[str] = ()) -> dict[str, Role]:
    """The role of every parameter, by its name in `model.named_parameters()`.

    `heads` names the parameters of the output layer. A weight is one of attention when it belongs to a module named
    `attention`, at any depth, or to a `MultiheadAttention`. What no rule covers is a weight from two dimensions on,
    else a bias. Raises ValueError when a head is no parameter of the model.
    """
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name, _ in model.named_parameters()}
    attention = {name for name, module in model.named_modules() if _is_attention(name, module)}
    unknown = sorted(set(heads) - set(owners))
    if unknown:
        raise ValueError(f"heads {unknown} are no parameters of the model, expected some of {sorted(owners)}")
    return {
        name: Role.HEAD if name in heads else _role(name, owners[name], parameter.ndim, attention)
        for name, parameter in model.named_parameters()
    }


def _is_attention(name: str, module: nn.Module) -> bool:
    return name.rpartition(".")[2] == "attention" or isinstance(module, nn.MultiheadAttention)


def _role(name: str, owner: nn.Module, ndim: int, attention: Collection[str]) -> Role:
    *path, leaf = name.split(".")
    if isinstance(owner, _NORMS):
        return Role.NORM_BIAS if leaf == "bias" else Role.NORM_SCALE
    if ndim < 2:
        return Role.BIAS
    if isinstance(owner, _EMBEDDINGS):
        return Role.EMBEDDING
    if any(".".join(path[:depth]) in attention for depth in range(len(path) + 1)):
        return Role.ATTENTION
    return Role.CONV if isinstance(owner, _ConvNd) else Role.WEIGHT

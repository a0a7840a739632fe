"""A submission's state as plain values and tensors, which can be kept and read back without running any code.

Containers and arrays are taken apart, and so are objects that hold such values as attributes, as the helpers of
some optimizers do. A tensor of the model is kept by its name, so that what referred to it does so again.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (str, int, float, bool, type(None), torch.Size, torch.dtype)
_TAG = "\0pacer"
_NEVER = (type, FunctionType, MethodType, ModuleType, nn.Module)


class StateError(TypeError):
    """A state holds what cannot be kept."""


def pack(state: object, model: nn.Module) -> object:
    """A nested state in tensors and plain values. Raises StateError."""
    names = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    return _packed(state, "state", names, frozenset())


def unpack(packed: Any, model: nn.Module) -> Any:
    """The state that `pack` took apart. Raises StateError where it names what is not there."""
    return _unpacked(packed, dict([*model.named_parameters(), *model.named_buffers()]))


def size_of(state: object) -> int:
    """Bytes of the tensors and arrays in a nested state, each counted once; objects are searched too."""
    sizes: dict[int, int] = {}
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if id(value) in sizes:
            continue
        sizes[id(value)] = 0
        if isinstance(value, Tensor):
            sizes[id(value)] = value.nbytes if value.layout is torch.strided else 0
        elif isinstance(value, np.ndarray):
            sizes[id(value)] = value.nbytes
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif not isinstance(value, type | FunctionType | ModuleType):
            waiting += getattr(value, "__dict__", {}).values()
    return sum(sizes.values())


def _packed(value: Any, path: str, names: Mapping[int, str], above: frozenset[int]) -> Any:
    if id(value) in names:
        return (_TAG, "model", names[id(value)])
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (Tensor, nn.Parameter):
        # A view alone: what it is a view of may be large, or the weights.
        return value if value.untyped_storage().nbytes() == value.nbytes else value.detach().clone()
    if id(value) in above:
        raise StateError(f"{path} leads back to itself")
    above |= {id(value)}
    inside: Callable[[Any, Any], Any] = lambda part, step: _packed(part, f"{path}[{step!r}]", names, above)  # noqa: E731
    if kind in (dict, OrderedDict, defaultdict):
        return {inside(key, key): inside(part, key) for key, part in value.items()}
    if kind in (list, tuple):
        return kind(inside(part, number) for number, part in enumerate(value))
    if kind is set:
        return (_TAG, "set", [inside(part, "") for part in value])
    if kind is np.ndarray and value.dtype.kind in "biuf":
        # As bytes, for torch lacks some of NumPy's types.
        return (_TAG, "array", value.dtype.str, value.shape, _bytes(value))
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return (_TAG, "scalar", value.dtype.str, _bytes(np.asarray(value)))
    if isinstance(value, Enum):
        return (_TAG, "enum", kind.__module__, kind.__qualname__, value.name)
    if isinstance(value, _NEVER) or not hasattr(value, "__dict__") or isinstance(value, dict | list | tuple):
        raise StateError(f"{path} is a {kind.__name__}, expected tensors, arrays, numbers, text, lists or dicts")
    attributes = {key: _packed(part, f"{path}.{key}", names, above) for key, part in vars(value).items()}
    return (_TAG, "object", kind.__module__, kind.__qualname__, attributes)


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if type(value) is dict:
        return {_unpacked(key, tensors): _unpacked(part, tensors) for key, part in value.items()}
    if type(value) is list:
        return [_unpacked(part, tensors) for part in value]
    if type(value) is not tuple:
        return value
    if value[:1] != (_TAG,):
        return tuple(_unpacked(part, tensors) for part in value)
    _, what, *facts = value
    if what == "model":
        return tensors[facts[0]]
    if what == "set":
        return {_unpacked(part, tensors) for part in facts[0]}
    if what == "array":
        return np.frombuffer(facts[2].numpy().tobytes(), facts[0]).reshape(facts[1]).copy()
    if what == "scalar":
        return np.frombuffer(facts[1].numpy().tobytes(), facts[0])[0]
    kind = _class(*facts[:2])
    if what == "enum":
        return kind[facts[2]]
    value = object.__new__(kind)
    vars(value).update(_unpacked(facts[2], tensors))
    return value


def _bytes(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())


def _class(module: str, name: str) -> Any:
    """A class of a module that the submission has imported; none is imported for a state's sake."""
    kind: Any = sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    if not isinstance(kind, type):
        raise StateError(f"the state holds a {module}.{name}, and there is no such class")
    return kind

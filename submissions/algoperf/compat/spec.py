"""The module `algoperf.spec`: its enums, its type names, and the workload as submissions know it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any

from torch import Tensor as Tensor
from torch import nn

from submissions.base import TrainingComplete

MEANING = 1  # raised when results change: see submissions/environment.py


class LossType(Enum):
    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ForwardPassMode(Enum):
    TRAIN = 0
    EVAL = 1


class ParameterType(Enum):
    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class TrainingCompleteError(TrainingComplete):
    """Raised by a submission that is done; its trial ends with an evaluation."""


class ShapeTuple:
    """A shape that counts as one leaf of a tree."""

    def __init__(self, shape_tuple: tuple[int, ...]) -> None:
        self.shape_tuple = shape_tuple

    def __repr__(self) -> str:
        return f"ShapeTuple({self.shape_tuple})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeTuple) and self.shape_tuple == other.shape_tuple

    def __hash__(self) -> int:
        return hash(self.shape_tuple)


# Submissions use these in annotations only.
Shape = tuple[int, ...] | ShapeTuple
ParameterShapeTree = Mapping[str, Any]
ParameterKey = str
ParameterContainer = nn.Module
ParameterTypeTree = Mapping[str, Any]
RandomState = Any
OptimizerState = Any
Hyperparameters = Any
Timing = float
Steps = int
ModelAuxiliaryState = Any
ModelInitState = tuple[ParameterContainer, ModelAuxiliaryState]
UpdateReturn = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]
InitOptimizerFn = Any
UpdateParamsFn = Any
PrepareForEvalFn = Any
DataSelectionFn = Any


class Workload(ABC):
    """What a submission may ask of the workload; its fields are set by what stands in for it."""

    step_hint: int
    loss_type: LossType
    num_train_examples: int
    validation_target_value: float | None
    max_allowed_runtime_sec: float
    param_shapes: Mapping[str, ShapeTuple]
    model_params_types: Mapping[str, ParameterType]
    metrics_logger: None = None

    @abstractmethod
    def is_output_params(self, param_key: str) -> bool: ...

    @abstractmethod
    def model_fn(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]: ...

    @abstractmethod
    def loss_fn(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]: ...

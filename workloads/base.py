"""The types that a workload is made of. A workload is a value: a variant of it is `dataclasses.replace`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from pacer.target import Target
from workloads.datasets.base import Dataset

Arrays = Mapping[str, np.ndarray]
"""One split of a dataset: arrays that share their first dimension, the examples."""

PADDING = -1
"""An integer target of this value is none: it fills up the row of a shorter example."""


class Role(StrEnum):
    """What a parameter is for, so that a general algorithm can treat kinds of tensors differently."""

    WEIGHT = "weight"
    CONV = "conv"
    EMBEDDING = "embedding"
    ATTENTION = "attention"
    HEAD = "head"
    BIAS = "bias"
    NORM_SCALE = "norm_scale"
    NORM_BIAS = "norm_bias"


class LossKind(StrEnum):
    CROSS_ENTROPY = "cross_entropy"
    BINARY_CROSS_ENTROPY = "binary_cross_entropy"
    L1 = "l1"
    CTC = "ctc"


class Precision(StrEnum):
    """What a model computes with in training; weights, gradients, losses and evaluations are float32 throughout."""

    FP32 = "fp32"
    TF32 = "tf32"  # products of float32 matrices in TensorFloat-32, where a GPU has it
    BF16 = "bf16"  # products in bfloat16, by torch.autocast


@dataclass(frozen=True)
class Batch:
    """Some examples: the model's inputs, the targets of the loss, and the examples' row numbers in their split.

    `targets` and `index`, which is int64 of shape [examples], have the examples as their first dimension. So have
    the inputs, save where examples are graphs: those lie one behind another. To get a part of a batch, ask for it
    by its `index`. `whole` is there where these are one device's part of a batch that several devices share: the
    number of examples that all of them have. That is the batch's length.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    index: Tensor
    whole: int | None = None

    def __len__(self) -> int:
        return len(self.index) if self.whole is None else self.whole


class LossTerms(NamedTuple):
    """Loss of each example, summed over its valid units (tokens, labels), and how many units those are.

    Both of shape [examples]. Of a batch that several devices share, these are the examples of one of them; `total`
    and `mean` are the whole batch's on every device.
    """

    summed: Tensor
    units: Tensor

    def total(self) -> tuple[Tensor, Tensor]:
        """The loss summed over the batch, and its units, both scalars."""
        return self.summed.sum(), self.units.sum()

    def mean(self) -> Tensor:
        """The loss of a unit, in the mean over the batch."""
        summed, units = self.total()
        return summed / units


LossFunction = Callable[..., LossTerms]
"""`loss(outputs, batch, label_smoothing=0.0)`, outputs being what the model returns for `batch.inputs`."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a model is judged: `rows(model, batch)` gives [examples, k] numbers, `reduce` makes all rows one.

    A model whose outputs are not finite must get a value that is not finite either.
    """

    name: str
    rows: Callable[[nn.Module, Batch], Tensor]
    reduce: Callable[[Tensor], float]
    higher_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A fixed training problem, in the size that one suite has it.

    `step_hint` counts steps of `batch_size` examples: the horizon of the reference algorithm. The validation
    metric is evaluated `evaluations` times over that horizon. `train_examples` and its like keep the first rows
    of a split (splits are stored shuffled), None keeps all. `model` builds the network with PyTorch's current
    random state; `heads` names the parameters of the output layer. `version` is raised when the code of the model,
    the loss or the batches changes in a way that results depend on. `target` is None until `make targets` has set
    it for this definition.

    `extra_metrics` are further metrics, evaluated with the first and recorded; nothing is decided by them.
    `lengths` gives
    the length of each example of a split; batches are then made of examples of like length, so that little is
    padded. `variant_of` names the workload that this one is a variant of; `algoperf` those of AlgoPerf that it
    stands for, the likeliest first: a submission written for AlgoPerf is asked for its batch size by these names.
    `precision` holds for all submissions.
    """

    name: str
    suite: str
    task: str
    dataset: Dataset
    model: Callable[[], nn.Module]
    loss: LossFunction
    loss_kind: LossKind
    metric: Metric
    collate: Callable[[Arrays, np.ndarray], Batch]
    batch_size: int
    step_hint: int
    evaluations: int = 20
    eval_batch_size: int = 500
    train_examples: int | None = None
    validation_examples: int | None = None
    test_examples: int | None = None
    heads: tuple[str, ...] = ()
    version: int = 1
    extra_metrics: tuple[Metric, ...] = ()
    lengths: Callable[[Arrays], np.ndarray] | None = None
    variant_of: str | None = None
    precision: Precision = Precision.FP32
    algoperf: tuple[str, ...] = field(default=(), compare=False)
    target: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for key in ("batch_size", "step_hint", "evaluations", "eval_batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"workload {self.name}: {key} is {getattr(self, key)}, expected at least 1")

    @property
    def steps_per_evaluation(self) -> float:
        """Reference steps between two evaluations."""
        return self.step_hint / self.evaluations

    @property
    def evaluation_stride(self) -> int:
        """The same as a whole number: evaluations fall on its multiples, for all submissions alike."""
        return max(1, round(self.steps_per_evaluation))

    def scaled(self, horizon: float = 1.0, batch: float = 1.0) -> Workload:
        """The same with `horizon` times as many examples to train on, in batches `batch` times as large.

        Steps and batch are rounded to whole numbers. The number of evaluations stays; a target does not hold.
        """
        if horizon == batch == 1.0:
            return self
        batch_size = max(1, round(batch * self.batch_size))
        steps = round(horizon * self.step_hint * self.batch_size / batch_size)
        return replace(self, batch_size=batch_size, step_hint=max(1, steps), target=None)

    def reaches(self, value: float | None) -> bool:
        """Whether a validation value meets the target; never for a value that is not finite (None)."""
        return Target(self.target, self.metric.higher_is_better).met(value)

    def definition(self) -> str:
        """Twelve hex digits that change when anything does that a result depends on, the target and what concerns
        other interfaces aside."""
        # What is at its default does not count, so that a field added to this class changes no definition.
        facts = {
            _DEFINED_AS.get(each.name, each.name): _stable(getattr(self, each.name))
            for each in sorted(fields(self), key=lambda each: _DEFINED_AS.get(each.name, each.name))
            if each.compare and getattr(self, each.name) != each.default
        }
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


_DEFINED_AS = {"extra_metrics": "beside", "suite": "scale"}
"""Fields that definitions know by an older name, so that renaming one changes no definition."""


def _stable(value: object) -> object:
    """What identifies a value in every process: text without memory addresses."""
    if isinstance(value, partial):
        keywords = [(name, _stable(part)) for name, part in sorted(value.keywords.items())]
        return (_stable(value.func), [_stable(part) for part in value.args], keywords)
    if isinstance(value, Dataset):
        return (value.name, value.version, value.sha256)
    if isinstance(value, Metric):
        return (value.name, _stable(value.rows), _stable(value.reduce), value.higher_is_better)
    if isinstance(value, tuple):
        return [_stable(part) for part in value]
    if callable(value):
        # Every function and class has both; anything else here must be made one.
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)

"""When a value meets a workload's target: at the target itself, too, and never without a number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from workloads import registry

ERROR = replace(registry.find("smoke", "mnist_mlp"), target=0.25)
assert not ERROR.metric.higher_is_better
ACCURACY = replace(ERROR, metric=replace(ERROR.metric, higher_is_better=True))


@pytest.mark.parametrize(
    ("value", "error", "accuracy"),
    [
        (0.25, True, True),
        (math.nextafter(0.25, 0.0), True, False),
        (math.nextafter(0.25, 1.0), False, True),
        (None, False, False),
        (math.nan, False, False),
    ],
)
def test_a_value_meets_a_target_at_equality_too(value: float | None, error: bool, accuracy: bool) -> None:
    assert ERROR.reaches(value) is error
    assert ACCURACY.reaches(value) is accuracy
    assert not replace(ERROR, target=None).reaches(value)

"""A value meets a target where it is as good or better."""

from __future__ import annotations

import math

import pytest

from pacer.target import Target


@pytest.mark.parametrize(
    ("higher_is_better", "value", "met"),
    [
        (True, 0.9, True),
        (True, math.nextafter(0.9, 1.0), True),
        (True, math.nextafter(0.9, 0.0), False),
        (True, math.inf, True),
        (False, 0.9, True),
        (False, math.nextafter(0.9, 0.0), True),
        (False, math.nextafter(0.9, 1.0), False),
        (False, -math.inf, True),
    ],
)
def test_a_value_at_the_target_or_beyond_meets_it(higher_is_better: bool, value: float, met: bool) -> None:
    assert Target(0.9, higher_is_better).met(value) is met


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_what_is_no_number_meets_no_target(higher_is_better: bool) -> None:
    assert Target(0.9, higher_is_better).met(None) is False
    assert Target(0.9, higher_is_better).met(math.nan) is False
    assert Target(None, higher_is_better).met(0.9) is False
    assert Target(None, higher_is_better).met(None) is False


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_zero_is_a_value_and_a_target_like_others(higher_is_better: bool) -> None:
    assert Target(0.0, higher_is_better).met(0.0) is True

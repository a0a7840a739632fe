"""Schedules by worked examples."""

from __future__ import annotations

import pytest
import torch

from submissions.parts.schedules import warmup_cosine


def test_warm_up_is_linear_and_half_a_cosine_ends_at_zero() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, horizon=12, warmup=1 / 3)
    rates, ended = [], []
    for _ in range(13):
        rates.append(optimizer.param_groups[0]["lr"])
        ended.append(schedule.ended)
        optimizer.step()
        schedule.step()
    cosine = [1 + 0.92388, 1 + 0.70711, 1 + 0.38268, 1.0, 1 - 0.38268, 1 - 0.70711, 1 - 0.92388, 0.0]
    assert rates == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, *cosine], abs=1e-4)
    assert ended == [False] * 12 + [True]

"""Search spaces and published defaults that families of algorithms share: only their update rules differ."""

from __future__ import annotations

from submissions.space import Choice, LogUniform

MEANING = 1  # raised when results change: see submissions/environment.py

WARMUP = Choice(0.02, 0.05, 0.1)
"""Shares of the horizon over which the learning rate may rise."""

ADAPTIVE_SPACE = {
    "lr": LogUniform(5e-4, 5e-2),
    "one_minus_beta1": LogUniform(0.02, 0.3),
    "beta2": Choice(0.95, 0.99, 0.999),
    "warmup": WARMUP,
}
ADAPTIVE_DEFAULTS = {"lr": 1e-3, "one_minus_beta1": 0.1, "beta2": 0.999, "warmup": 0.05}
"""Adam and its kin without weight decay."""

ADAM_SPACE = {
    "lr": LogUniform(1e-3, 5e-2),
    "one_minus_beta1": LogUniform(0.02, 0.3),
    "beta2": Choice(0.95, 0.99, 0.999),
    "weight_decay": LogUniform(1e-4, 0.3),
    "warmup": WARMUP,
}
ADAM_DEFAULTS = {**ADAPTIVE_DEFAULTS, "weight_decay": 0.01}
"""The same with decoupled weight decay."""

UNWARMED_SPACE = {key: domain for key, domain in ADAM_SPACE.items() if key != "warmup"}
UNWARMED_DEFAULTS = {key: value for key, value in ADAM_DEFAULTS.items() if key != "warmup"}
"""That again, for schedules that have no warm-up to set."""

MOMENTUM_SPACE = {
    "lr": LogUniform(2e-2, 2.0),
    "one_minus_momentum": LogUniform(0.02, 0.3),
    "weight_decay": LogUniform(1e-6, 1e-3),
    "warmup": WARMUP,
}
MOMENTUM_DEFAULTS = {"lr": 0.1, "one_minus_momentum": 0.1, "weight_decay": 1e-4, "warmup": 0.05}
"""SGD with momentum as it trains residual networks (He et al., 2016, arXiv:1512.03385)."""

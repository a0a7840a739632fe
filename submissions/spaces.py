"""Search spaces and defaults that families of algorithms share, so that only their update rules differ."""

from __future__ import annotations

from submissions.space import Choice, LogUniform

ADAM_SPACE = {
    "lr": LogUniform(1e-3, 5e-2),
    "one_minus_beta1": LogUniform(0.02, 0.3),
    "beta2": Choice(0.95, 0.99, 0.999),
    "weight_decay": LogUniform(1e-4, 0.3),
    "warmup": Choice(0.02, 0.05, 0.1),
}
ADAM_DEFAULTS = {"lr": 8e-3, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.01, "warmup": 0.05}

MOMENTUM_SPACE = {
    "lr": LogUniform(2e-2, 2.0),
    "one_minus_momentum": LogUniform(0.02, 0.3),
    "weight_decay": LogUniform(1e-6, 1e-3),
    "warmup": Choice(0.02, 0.05, 0.1),
}
MOMENTUM_DEFAULTS = {"lr": 0.25, "one_minus_momentum": 0.1, "weight_decay": 1e-5, "warmup": 0.05}

PLAIN_SPACE = {"lr": LogUniform(0.03, 10.0)}
PLAIN_DEFAULTS = {"lr": 0.5}

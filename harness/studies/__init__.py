"""Measurements for maintainers: of the harness itself, of targets, of hyperparameters."""

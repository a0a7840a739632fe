"""Runs submissions written for AlgoPerf's PyTorch interface (versions 0.5 and 0.6) as they are."""

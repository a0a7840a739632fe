"""Pacer, a benchmark of neural-network training algorithms."""

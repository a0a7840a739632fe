"""Real data out of published packages: one file a dataset."""

"""What is trained: fixed datasets, models, losses, metrics and targets."""

"""What runs trials for a purpose: a bench, one trial, a check, a verification."""

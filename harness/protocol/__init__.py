"""What is to be run, and by which rules: trials, seeds, budgets, and when a trial may stop."""

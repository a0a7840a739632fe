"""Plan, schedule, trial, record: measures how long each submission takes to reach each target."""

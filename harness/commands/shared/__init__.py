"""What the commands share: kinds of values, groups of options, settings from files, make and Python, and messages."""

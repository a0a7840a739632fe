"""What the commands share: kinds of values, groups of options, settings from elsewhere, messages."""

"""What the command line does: mostly a file a verb."""

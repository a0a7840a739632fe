"""One trial, from order to record: the referee, its clock, and its ends of the players."""

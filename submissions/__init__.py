"""The training algorithms under test: one file each, plus the interface that they implement."""

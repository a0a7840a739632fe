"""Is what a board says true? Measured on records, by drawing small boards from many studies and by other ways."""

from scoring.validity.adaptive import SpendAlarms, spend_alarms
from scoring.validity.foretell import Foretold, foretold
from scoring.validity.horizons import Shorter, shorter_horizons
from scoring.validity.intervals import Share, Validity, all_sizes, validity

__all__ = [
    "Foretold",
    "Share",
    "Shorter",
    "SpendAlarms",
    "Validity",
    "all_sizes",
    "foretold",
    "shorter_horizons",
    "spend_alarms",
    "validity",
]

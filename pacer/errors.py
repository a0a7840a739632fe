"""Every error that Pacer raises on purpose. The command line prints their text and no traceback."""


class PacerError(Exception):
    """Something went wrong that the user can mend; the message says what, what was expected and what to type."""


class UsageError(PacerError):
    """A setting or an argument cannot be used."""


class ClusterLost(PacerError):
    """The cluster under a bench is gone; once there is one again, the same command goes on."""


class RecordsError(PacerError):
    """A results folder cannot be read or written."""

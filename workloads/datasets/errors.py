"""The one error that datasets raise on purpose."""


class DatasetError(Exception):
    """A dataset cannot be made or read; the message says what happened, what was expected and what to type."""

"""Gives a command a folder of results on this machine, where an address was named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console

from harness.commands.shared.options import is_address


class LocalCopy(str):
    """The folder that is kept in step with the results at an address."""

    address: str

    def __new__(cls, folder: str, address: str) -> LocalCopy:
        made = super().__new__(cls, folder)
        made.address = address
        return made


@contextlib.contextmanager
def results_here(options: Any) -> Iterator[Any]:
    """The options of a command with a folder for their results: a copy, kept in step with it, of what is at an
    address. Raises RecordsError where nothing is there."""
    results = getattr(options, "results", "")
    if not is_address(results):
        yield options
        return
    from scoring.records import remote

    with remote.opened(results, Console(stderr=True).print) as folder:
        yield replace(options, results=LocalCopy(str(folder), results))


def as_typed(results: str) -> str:
    """Results as they were named on the command line."""
    return results.address if isinstance(results, LocalCopy) else results

"""Pacer, a benchmark of neural-network training algorithms by time to result.

From Python::

    import pacer

    board = pacer.bench(submissions=["nadamw", "lion"], workloads=["mnist_resnet"], studies=3)
    print(board)                             # the leaderboard
    table = pacer.records("results")         # a pandas table, a row a trial
    steps = pacer.board(by="steps")          # the board of what is recorded

From a terminal, `pacer --help`. Everything imports `pacer.errors`, so nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pacer.api import Leaderboard, bench, board, records
    from pacer.errors import PacerError

__all__ = ["Leaderboard", "PacerError", "bench", "board", "records"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'pacer' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module("pacer.errors" if name == "PacerError" else "pacer.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]

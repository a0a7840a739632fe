"""The command line: `pacer COMMAND`, which is `python -m harness COMMAND`, and what the aliases of make call.

The commands are in harness/commands, a file each. Every one explains itself with --help.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from harness.cluster import supervisor
from harness.commands.shared import from_make
from harness.commands.shared.line import Request, read
from harness.commands.shared.places import ray_address
from harness.commands.shared.results import results_here
from harness.system import processes
from pacer import paths
from pacer.errors import ClusterLost, PacerError, UsageError

_BY_SIGNAL = 128
"""The exit status of a program that a signal ended is this and the signal's number."""

_SUPERVISED = "--supervised"
"""The first word of a command line that the restart supervisor runs."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: ends a command as Ctrl-C does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 done, 1 something failed, 2 bad usage, 128 and the number of the
    signal that stopped it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    supervised = words[:1] == [_SUPERVISED]
    status = _status(words[supervised:], supervised)
    return status + (supervisor.ORDERLY if supervised else 0)


def program() -> None:
    """The `pacer` program: runs the command that was typed and ends with its status, by SIGTERM as by Ctrl-C."""
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main())


def terminate(_number: int, _frame: FrameType | None) -> None:
    """Ends the command under way; the handler of SIGTERM."""
    raise _Terminated


def _status(words: Sequence[str], supervised: bool) -> int:
    from workloads.datasets.errors import DatasetError

    try:
        typed, given = from_make.read_make(words[1:]) if words[:1] == [from_make.WORD] else (list(words), None)
        request = read(typed, given)
        status = 0 if request is None else _run(request, words, supervised)
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"pacer: {error}", file=sys.stderr)
        return 2
    except (PacerError, DatasetError) as error:
        print(f"pacer: {error}", file=sys.stderr)
        return supervisor.CLUSTER_LOST if isinstance(error, ClusterLost) else 1
    except BrokenPipeError:
        if not _left_by_its_reader():
            raise
        return _BY_SIGNAL + signal.SIGPIPE
    except KeyboardInterrupt as stop:
        print("pacer: stopped; finished trials are recorded, the same command goes on from here", file=sys.stderr)
        return _BY_SIGNAL + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _left_by_its_reader() -> bool:
    """Whether nobody reads the output any more, as after `| head`; the rest of it goes nowhere then."""
    output = sys.stdout.fileno()
    asked = select.poll()
    asked.register(output, 0)
    left = any(event & select.POLLERR for _, event in asked.poll(0))
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return left


def _run(request: Request, words: Sequence[str], supervised: bool) -> int:
    address = ray_address()
    if supervised:
        processes.end_with_parent()
    elif address and getattr(request.command, "SUPERVISED", False):
        command = paths.python_command("-m", "harness", _SUPERVISED, *words)
        return supervisor.supervise(command, address, functools.partial(print, file=sys.stderr))
    with results_here(request.options) as options:
        return request.command.run(options)

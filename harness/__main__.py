"""The command line, as `pacer` and as `python -m harness`."""

from __future__ import annotations

import signal
import sys

from harness.cli import main, terminate


def run() -> int:
    """Runs the command that this process was started with; returns its exit status."""
    signal.signal(signal.SIGTERM, terminate)
    return main()


if __name__ == "__main__":
    sys.exit(run())

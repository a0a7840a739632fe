"""`python -m harness VERB`: the command line. What make calls; every verb explains itself with --help."""

from __future__ import annotations

import signal
import sys

from harness.cli import main, terminate

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main())

"""`python -m harness VERB`: the command line. What make calls; every verb explains itself with --help."""

from __future__ import annotations

import sys

from harness.cli import main

if __name__ == "__main__":
    sys.exit(main())

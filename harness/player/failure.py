"""What a submission raised, as a record keeps it."""

from __future__ import annotations

import traceback
from pathlib import Path

from harness.player import devices
from scoring.records import Failure

_LONGEST_MESSAGE, _LONGEST_TRACEBACK = 2_000, 20_000


def failure_of(error: BaseException, hook: str, filename: str | None) -> Failure:
    """The failure that an exception in a hook is, with the last line of the submission's own file on its way."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name == filename]
    line = own[-1].lineno if own else getattr(error, "lineno", None)
    return Failure(
        hook=hook,
        kind=devices.OUT_OF_MEMORY if devices.ran_out_of_memory(error) else type(error).__name__,
        message=_text(error)[:_LONGEST_MESSAGE],
        file=filename if line is not None else None,
        line=line,
        traceback="".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:],
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as odd:  # its own code
        return f"an exception whose text raises {type(odd).__name__}"

"""Records: what trials leave behind, on disk the source of truth that every score is computed from.

Imports neither torch nor ray, so that scoring can read records anywhere.
"""

from harness.records.brief import Stored, stored
from harness.records.record import (
    BUSY_SHARE,
    SCHEMA,
    Evaluation,
    Failure,
    Outcome,
    Record,
    compact,
    finite,
    from_json,
    to_json,
)
from harness.records.store import RecordStore

__all__ = ["BUSY_SHARE", "SCHEMA", "Evaluation", "Failure", "Outcome", "Record", "RecordStore", "Stored"]
__all__ += ["compact", "finite", "from_json", "stored", "to_json"]

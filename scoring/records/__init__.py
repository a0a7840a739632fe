"""Records: what trials leave behind, on disk the source of truth that every score is computed from.

Imports neither torch nor ray, so that scoring can read records anywhere.
"""

from pacer.target import Target
from scoring.records.brief import Stored, stored
from scoring.records.codec import from_json, to_json
from scoring.records.compact import compact
from scoring.records.curve import Curve
from scoring.records.key import TrialKey
from scoring.records.record import CONTENTION_SHARE, SCHEMA, Evaluation, Failure, Outcome, Record, finite
from scoring.records.store import RecordStore

__all__ = ["CONTENTION_SHARE", "SCHEMA", "Curve", "Evaluation", "Failure", "Outcome", "Record", "RecordStore"]
__all__ += ["Stored", "Target", "TrialKey", "compact", "finite", "from_json", "stored", "to_json"]

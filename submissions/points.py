"""The calibrated points of submissions: one JSON file each, in a folder `calibrated` beside the submission.

`make calibrate` writes them, with the runs that chose the point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A point of the search space with what testifies to it: the `command` that found it, the bytes that the
    submission keeps a parameter, measured there (None if not), and `evidence`, the runs behind it."""

    point: Mapping[str, Any]
    command: str
    state_bytes_per_parameter: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class CalibrationError(ValueError):
    """A stored calibration cannot be read."""


def path(submission: Path, name: str) -> Path:
    """Where the calibration of the submission `name` in the file `submission` is kept."""
    return submission.parent / "calibrated" / f"{name}.json"


def load(submission: Path, name: str) -> Calibration | None:
    """The stored calibration, None where there is none. Raises CalibrationError for a file of something else."""
    file = path(submission, name)
    try:
        found = json.loads(file.read_text())
        point, command = dict(found.pop("point")), found.pop("command")
        size = found.pop("state_bytes_per_parameter")
        return Calibration(point=point, command=command, state_bytes_per_parameter=size, evidence=found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CalibrationError(
            f"{file} is no calibration ({error!r}), expected a JSON object with point, command and "
            f"state_bytes_per_parameter; to be without one, type: rm {file}"
        ) from error


def save(submission: Path, name: str, calibration: Calibration) -> Path:
    """Writes the calibration's file, in place of an older one, and returns its path."""
    file = path(submission, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "point": dict(calibration.point),
        "command": calibration.command,
        "state_bytes_per_parameter": calibration.state_bytes_per_parameter,
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({**head, **calibration.evidence}, indent=1, allow_nan=False) + "\n")
    partial.replace(file)
    return file

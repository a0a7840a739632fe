"""The tuned points of submissions: one JSON file each, in a folder `tuned` beside the submission.

`make tune` writes them, with the runs that chose the point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FOLDER, _OLD_FOLDER = "tuned", "calibrated"


@dataclass(frozen=True, kw_only=True)
class TunedPoint:
    """A point of the search space with what testifies to it: the `command` that found it, the bytes that the
    submission keeps a parameter, measured there (None if not), and `evidence`, the runs behind it."""

    point: Mapping[str, Any]
    command: str
    state_bytes_per_parameter: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class TunedPointError(ValueError):
    """A stored point cannot be read."""


def path(submission: Path, name: str) -> Path:
    """Where the point of the submission `name` in the file `submission` is kept."""
    return submission.parent / _FOLDER / f"{name}.json"


def load(submission: Path, name: str) -> TunedPoint | None:
    """The stored point, None where there is none. Raises TunedPointError for a file of something else.

    A folder `calibrated`, as it was named once, is read where the other has no such file.
    """
    file = path(submission, name)
    if not file.exists():
        file = submission.parent / _OLD_FOLDER / file.name
    try:
        data = json.loads(file.read_text())
        point, command = dict(data.pop("point")), data.pop("command")
        size = data.pop("state_bytes_per_parameter")
        return TunedPoint(point=point, command=command, state_bytes_per_parameter=size, evidence=data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TunedPointError(
            f"{file} holds no tuned point ({error!r}), expected a JSON object with point, command and "
            f"state_bytes_per_parameter; to be without one, type: rm {file}"
        ) from error


def save(submission: Path, name: str, tuned: TunedPoint) -> Path:
    """Writes the point's file, in place of an older one, and returns its path."""
    file = path(submission, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "point": dict(tuned.point),
        "command": tuned.command,
        "state_bytes_per_parameter": tuned.state_bytes_per_parameter,
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({**head, **tuned.evidence}, indent=1, allow_nan=False) + "\n")
    partial.replace(file)
    return file

"""The targets of the workloads: one JSON file each under `targets/`, written by the runs that set it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads.base import Workload

FOLDER = Path(__file__).with_name("targets")


@dataclass(frozen=True, kw_only=True)
class StoredTarget:
    """A target with what testifies to it: the `definition` of the workload it was set for, the `command` that set
    it, and `evidence`, any JSON values such as the runs behind it."""

    target: float
    definition: str
    command: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class TargetError(ValueError):
    """A stored target cannot be read."""


def path(workload: Workload, folder: Path = FOLDER) -> Path:
    """Where the target of a workload is kept."""
    return folder / workload.suite / f"{workload.name}.json"


def load(workload: Workload, folder: Path = FOLDER) -> StoredTarget | None:
    """The stored target, whatever definition it was set for; None when there is none. Raises TargetError when the
    file holds something else."""
    file = path(workload, folder)
    try:
        found = json.loads(file.read_text())
        known = {"target": float(found.pop("target")), "definition": found.pop("definition")}
        return StoredTarget(**known, command=found.pop("command"), evidence=found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TargetError(
            f"{file} is no target file ({error!r}), expected a JSON object with target, definition and command; "
            f"to be without a target, type: rm {file}"
        ) from error


def save(workload: Workload, target: StoredTarget, folder: Path = FOLDER) -> Path:
    """Writes the target's file, in place of an older one, and returns its path."""
    file = path(workload, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {"target": target.target, "definition": target.definition, "command": target.command}
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({**head, **target.evidence}, indent=2, allow_nan=False) + "\n")
    partial.replace(file)
    return file

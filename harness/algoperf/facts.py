"""What is known of AlgoPerf's published leaderboards: workloads, targets, counts. The numbers are in
`facts.json` beside this file, taken from the benchmark's documentation of versions 0.5 and 0.6.

Both versions share the table of workloads. `budget_s` of a version are seconds on its own hardware, for the
external ruleset; those of 0.5 are not known here. A workload under `added_workloads` joined after the leaderboard
was published: it is read where there are logs of it, and not missed where there are none.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pacer.target import Target
from scoring.records.protocol import BUDGET_FACTOR

_FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, kw_only=True)
class WorkloadFacts:
    """One workload's validation metric and target. `budget_s` is 0 where it is not known."""

    metric: str
    higher_is_better: bool
    target: float
    step_hint: int
    budget_s: float

    def reaches(self, value: float) -> bool:
        """Whether a validation value meets the target."""
        return Target(self.target, self.higher_is_better).met(value)


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """One published leaderboard. It is made of the workloads `base`, `added` and `held_out`, the last with the base
    workload of each; `workloads` holds the facts of every workload of the version, used here or not."""

    version: str
    ruleset: str
    reference: str
    studies: int
    trials: int
    base: tuple[str, ...]
    added: tuple[str, ...]
    held_out: Mapping[str, str]
    workloads: Mapping[str, WorkloadFacts]

    @property
    def suite(self) -> str:
        """The name of its suite among the records."""
        return f"algoperf-{self.version}-{self.ruleset}"

    @property
    def used(self) -> tuple[str, ...]:
        """The workloads that it is made of, in its order."""
        return (*self.base, *self.added, *self.held_out)

    def among(self, seen: Collection[str]) -> tuple[str, ...]:
        """Those of its workloads that are among `seen`, in its order."""
        return tuple(name for name in self.used if name in seen)


def leaderboard(version: str, ruleset: str) -> Leaderboard:
    """The facts of one leaderboard. Raises KeyError for a version or ruleset that is not known."""
    facts = _facts()
    own = facts["versions"][version]
    factor = BUDGET_FACTOR[ruleset] / BUDGET_FACTOR["external"]
    return Leaderboard(
        version=version,
        ruleset=ruleset,
        reference=own["reference"],
        **own["rulesets"][ruleset],
        base=tuple(own["base_workloads"]),
        added=tuple(own["added_workloads"]),
        held_out=own["held_out_workloads"],
        workloads={
            name: WorkloadFacts(
                **workload,
                higher_is_better=workload["metric"] not in facts["minimized"],
                budget_s=factor * own["budget_s"].get(name, 0.0),
            )
            for name, workload in facts["workloads"].items()
        },
    )


def of_suite(suite: str) -> Leaderboard | None:
    """The leaderboard that a suite was imported from, None for a suite of our own."""
    return next((board for board in all_leaderboards() if board.suite == suite), None)


def all_leaderboards() -> list[Leaderboard]:
    """Those of all versions and rulesets."""
    versions = _facts()["versions"].items()
    return [leaderboard(version, ruleset) for version, own in versions for ruleset in own["rulesets"]]


@functools.cache
def _facts() -> dict[str, Any]:
    return json.loads(_FILE.read_text())

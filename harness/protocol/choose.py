"""Turns the names in the settings into workloads and submissions, or says which name is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from harness.protocol.settings import Settings
from harness.protocol.variants import drawn, variants_of
from pacer.errors import UsageError
from scoring.records.protocol import REFERENCE
from submissions.registry import SubmissionRef, known, resolve
from workloads import registry
from workloads.base import Workload


def listed_workloads(settings: Settings) -> tuple[Workload, ...]:
    """The workloads of the settings, with a target or without. Raises UsageError where one is unknown."""
    try:
        if settings.workloads is None:
            return registry.suite(settings.suite)
        return tuple(registry.find(settings.suite, name) for name in settings.workloads)
    except ValueError as error:
        raise UsageError(str(error)) from None


def listed_variants(settings: Settings) -> tuple[Workload, ...]:
    """All variants of the workloads of the settings. Raises UsageError where one of those is unknown."""
    return variants_of(settings.suite, listed_workloads(settings))


def chosen_workloads(settings: Settings) -> tuple[Workload, ...]:
    """The workloads of the settings and the variants drawn for them. Raises UsageError where one is unknown, or has
    no target in this suite though one is needed."""
    workloads = listed_workloads(settings)
    workloads += drawn(settings, workloads)
    for workload in workloads:
        if settings.needs_targets and workload.target is None:
            raise UsageError(
                f"{workload.name} has no target in suite {workload.suite} yet, or has changed since it was set; "
                f"to rank by whole curves, for which none is needed, type: make bench SUITE={workload.suite} "
                f"SCORE=ladder; to set it: make targets SUITE={workload.suite} WORKLOADS={workload.name}"
            )
    return workloads


def expanded(specs: Sequence[str]) -> tuple[str, ...]:
    """The same with `all` replaced by every submission of the folder, and all@literature by those with that set."""
    found: list[str] = []
    for spec in specs:
        word, at, defaults = spec.partition("@")
        found += [f"{name}{at}{defaults}" for name in known()] if word == "all" else [spec]
    return tuple(dict.fromkeys(found))


def chosen_submissions(settings: Settings) -> tuple[SubmissionRef, ...]:
    """The submissions of the settings, the reference first. Raises UsageError where one cannot be found."""
    try:
        named = [resolve(spec) for spec in dict.fromkeys((REFERENCE, *expanded(settings.submissions)))]
    except ValueError as error:
        raise UsageError(str(error)) from None
    unique: dict[str, SubmissionRef] = {}
    for ref in named:
        if unique.setdefault(ref.name, ref) != ref:
            raise UsageError(f"two different submissions are named {ref.name!r}; give one another `name`")
    return tuple(unique.values())

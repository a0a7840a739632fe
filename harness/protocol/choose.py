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
    """The workloads of the settings at their horizon and batch size, with a target or without. Raises UsageError
    where one is unknown, or has too few steps left."""
    return _scaled(settings, _named(settings))


def listed_variants(settings: Settings) -> tuple[Workload, ...]:
    """All variants of the workloads of the settings. Raises UsageError where one of those is unknown."""
    return _scaled(settings, variants_of(settings.suite, _named(settings)))


def chosen_workloads(settings: Settings) -> tuple[Workload, ...]:
    """The workloads of the settings and the variants drawn for them. Raises UsageError where one is unknown, or has
    no target in this suite though one is needed."""
    workloads = _named(settings)
    scale = " ".join(settings.layout.scale)
    if scale and settings.needs_targets:
        raise UsageError(f"targets do not hold at {scale}; to rank by whole curves, type: {scale} SCORE=ladder")
    workloads = _scaled(settings, workloads + drawn(settings, workloads))
    for workload in workloads:
        if settings.needs_targets and workload.target is None:
            raise UsageError(
                f"{workload.name} has no target in suite {workload.suite} yet, or has changed since it was set; "
                f"to rank by whole curves, for which none is needed, type: make bench SUITE={workload.suite} "
                f"SCORE=ladder; to set it: make targets SUITE={workload.suite} WORKLOADS={workload.name}"
            )
    return workloads


def _named(settings: Settings) -> tuple[Workload, ...]:
    """The workloads of the settings as their suite has them."""
    try:
        if settings.workloads is None:
            return registry.suite(settings.suite)
        return tuple(registry.find(settings.suite, name) for name in settings.workloads)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _scaled(settings: Settings, workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    layout = settings.layout
    scaled = tuple(workload.scaled(layout.horizon, layout.batch) for workload in workloads)
    for workload in scaled:
        if layout.scale and workload.step_hint < workload.evaluations:
            raise UsageError(
                f"{' '.join(layout.scale)} leaves {workload.step_hint} steps of {workload.name}, expected at least "
                f"{workload.evaluations}, one for each evaluation; type a longer HORIZON or a smaller BATCH"
            )
    return scaled


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

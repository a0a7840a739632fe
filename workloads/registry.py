"""Finds the workloads: every module of this folder with a `WORKLOADS` tuple. Adding a workload is adding a file.

A module's `VARIANTS` names changes of its model: `{"gelu": {"activation": nn.GELU}}` makes a variant NAME_gelu of
the workload NAME in every suite.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType

from workloads import targets
from workloads.base import Workload


class UnknownWorkload(ValueError):
    """There is no such suite, or no such workload in it."""


class DuplicateWorkload(ValueError):
    """Two workloads claim the same name in the same suite."""


def suites() -> tuple[str, ...]:
    """Names of the suites, from the smallest problems to the largest."""
    order = ("smoke", "mini", "base")
    return tuple(sorted(_by_suite(), key=lambda name: (order.index(name) if name in order else 99, name)))


def suite(name: str) -> tuple[Workload, ...]:
    """The workloads of a suite by name, each with its stored target if that was set for just this definition.

    Variants are not among them. Raises UnknownWorkload.
    """
    return tuple(workload for workload in _all(name) if workload.variant_of is None)


def variants(name: str) -> tuple[Workload, ...]:
    """The variants of a suite's workloads by name, with their targets like those. Raises UnknownWorkload."""
    return tuple(workload for workload in _all(name) if workload.variant_of is not None)


def _all(name: str) -> tuple[Workload, ...]:
    try:
        found = _by_suite()[name]
    except KeyError:
        raise UnknownWorkload(f"there is no suite {name!r}; name one of: {', '.join(suites())}") from None
    return tuple(_with_target(workload) for workload in found)


def find(suite_name: str, workload_name: str) -> Workload:
    """One workload of a suite, or one of its variants. Raises UnknownWorkload."""
    known = {workload.name: workload for workload in _all(suite_name)}
    try:
        return known[workload_name]
    except KeyError:
        raise UnknownWorkload(
            f"there is no workload {workload_name!r} in suite {suite_name}; name one of: {', '.join(known)}"
        ) from None


def grouped(workloads: Iterable[Workload]) -> dict[str, tuple[Workload, ...]]:
    """Workloads by suite, sorted by name. Raises DuplicateWorkload."""
    found: dict[str, dict[str, Workload]] = {}
    for workload in workloads:
        by_name = found.setdefault(workload.suite, {})
        if workload.name in by_name:
            raise DuplicateWorkload(
                f"two workloads are named {workload.name} in suite {workload.suite}, expected one; "
                "rename one of them in its WORKLOADS"
            )
        by_name[workload.name] = workload
    return {suite: tuple(by_name[name] for name in sorted(by_name)) for suite, by_name in found.items()}


@cache
def _by_suite() -> dict[str, tuple[Workload, ...]]:
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if not module.ispkg]
    modules = [importlib.import_module(f"workloads.{name}") for name in names]
    return grouped(workload for module in modules for workload in _declared(module))


def _declared(module: ModuleType) -> Iterator[Workload]:
    """What a module declares: its workload in each suite, and each of its variants in each suite."""
    for workload in vars(module).get("WORKLOADS", ()):
        yield workload
        for name, settings in vars(module).get("VARIANTS", {}).items():
            model = partial(workload.model, **settings)
            yield replace(workload, name=f"{workload.name}_{name}", model=model, variant_of=workload.name)


def _with_target(workload: Workload) -> Workload:
    stored = targets.load(workload)
    if stored is None or stored.definition != workload.definition():
        return workload
    return replace(workload, target=stored.target)

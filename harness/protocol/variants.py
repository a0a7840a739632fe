"""Which variants a bench runs: drawn from a seed that no submission knows.

Fixed workloads can be learned by heart; a variant drawn after a submission was written cannot. The seed comes from
the system's entropy when a results folder first needs one. It is kept there, so that a bench goes on with the same
draw and anyone can repeat it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

import numpy as np
from filelock import FileLock

from harness.protocol.settings import Settings
from pacer.errors import UsageError
from scoring.records import files
from workloads import registry
from workloads.base import Workload


def variants_of(suite: str, workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    """All variants of these workloads of a suite, with a target or without."""
    named = {workload.name for workload in workloads}
    return tuple(variant for variant in registry.variants(suite) if variant.variant_of in named)


def drawn(settings: Settings, workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    """As many variants of these workloads as the settings ask for, the draw of the settings' or the folder's seed.

    No workload has two before each has one; those without a target are left out where one is needed. Raises
    UsageError where there are not so many.
    """
    if not settings.variants:
        return ()
    named = {workload.name for workload in workloads}
    found = [v for v in variants_of(settings.suite, workloads) if v.name not in named]
    if settings.needs_targets:
        found = [variant for variant in found if variant.target is not None]
    if settings.variants > len(found):
        which = " with a target" if settings.needs_targets else ""
        raise UsageError(
            f"{settings.variants} variants were asked for, expected at most {len(found)}: these workloads have no "
            f"more{which}. To see them, type: "
            f"pacer workloads --suite {settings.suite} --variants"
        )
    seed = folder_seed(settings) if settings.variant_seed is None else settings.variant_seed
    return draw(found, settings.variants, seed)


def draw(variants: Sequence[Workload], count: int, seed: int) -> tuple[Workload, ...]:
    """`count` of the variants, by name: rounds over the workloads in random order, one variant of each a round."""
    random = np.random.default_rng(seed)
    shuffled = [variants[place] for place in random.permutation(len(variants))]
    rounds: dict[str | None, int] = {}
    keyed = []
    for place, variant in enumerate(shuffled):
        turn = rounds[variant.variant_of] = rounds.get(variant.variant_of, 0) + 1
        keyed.append((turn, place, variant))
    chosen = [variant for _, _, variant in sorted(keyed, key=lambda item: item[:2])[:count]]
    return tuple(sorted(chosen, key=lambda variant: variant.name))


def folder_seed(settings: Settings) -> int:
    """The seed kept in RESULTS/SUITE/variants.json, made where there is none."""
    path = settings.results / settings.suite / "variants.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(".variants.lock")):
        if not path.exists():
            files.replace(path, (json.dumps({"seed": secrets.randbits(32)}) + "\n").encode())
        try:
            return int(json.loads(path.read_text())["seed"])
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f'{path} holds no seed ({error!r}), expected {{"seed": NUMBER}}; write it, or delete the file '
                "and other variants are drawn"
            ) from error

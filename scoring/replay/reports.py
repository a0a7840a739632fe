"""A suite under every policy: what each saved and cost, and what would have been picked without looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pacer.errors import UsageError
from scoring.names import LADDER
from scoring.query import BoardQuery
from scoring.records import Record
from scoring.replay.effects import TIMES, Effect, effect_of, newcomer_effects, pick, together
from scoring.replay.run import in_full, replay, with_lost_studies
from scoring.selection import select
from scoring.stopping import AllOf, GiveUp, Median, OwnStudy, Policy, Slow, exact_policies, forecast_policies

_BOUNDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_SLACKS = (4.0, 3.0, 2.0, 1.5, 1.25, 1.0)


@dataclass(frozen=True, kw_only=True)
class PolicyEffects:
    """One policy: its effect on a bench, and on all newcomers together."""

    family: str
    label: str
    bench: Effect
    newcomer: Effect


@dataclass(frozen=True, kw_only=True)
class Picked:
    """The label that was picked for each submission on the others, and what those did to them as newcomers."""

    labels: Mapping[str, str]
    newcomer: Effect


@dataclass(frozen=True, kw_only=True)
class Report:
    """The lines of a suite, and what was picked by family."""

    suite: str
    ruleset: str
    reference: str | None
    submissions: tuple[str, ...]
    trials: int
    logged_s: float
    lines: tuple[PolicyEffects, ...]
    picked: Mapping[str, Picked]


def families(reference: str | None) -> dict[str, dict[str, Policy]]:
    """The policies to try by family; a family's members differ in strictness, the mildest first.

    The heuristic ones come with the exact ones. `reference` as in `Cut`; without one there are none for the ladder.
    """
    sure = exact_policies(reference, held_out=True)
    return {
        "exact": {
            "at the target": AllOf(),
            "+ own study": OwnStudy(),
            "+ median": AllOf((OwnStudy(), Median())),
            "+ 4 x cut": exact_policies(reference),
            "+ base missed": sure,
        },
        "give-up": {f"misses {n}": AllOf((sure, GiveUp(n))) for n in (3, 2, 1)},
        "forecast": {f"slack {slack:g}": forecast_policies(sure, slack) for slack in _SLACKS},
        **({} if reference is None else {LADDER: {f"below {b:g}": Slow(reference, b) for b in _BOUNDS}}),
    }


def promised(family: str) -> tuple[str, ...]:
    """The scores that the policies of a family are made for."""
    return (LADDER,) if family == LADDER else TIMES


def report(
    records: Sequence[Record],
    *,
    suite: str,
    ruleset: str,
    reference: str | None = None,
    only: Sequence[str] | None = None,
) -> Report:
    """Replays a suite under every policy, or under the families named in `only`.

    `reference` is what the anchored score and the cut compare with; None where the budget stands for it. Raises
    RecordsError where there are no trials, UsageError for a family or a reference that does not exist.
    """
    tried = families(reference)
    if unknown := set(only or ()) - tried.keys():
        raise UsageError(f"no policy {sorted(unknown)[0]!r}; there are {', '.join(tried)}")
    workloads = sorted(
        {r.workload for r in records if r.suite == suite and r.ruleset == ruleset and r.target is not None}
    )
    chosen = select(records, BoardQuery(suite=suite, workloads=workloads or None, ruleset=ruleset))
    if reference is not None and reference not in chosen.submissions:
        raise UsageError(f"the reference {reference!r} has no trials; there are {', '.join(chosen.submissions)}")
    ours = with_lost_studies([in_full(record) for trials in chosen.trials.values() for record in trials])
    lines: list[PolicyEffects] = []
    picked: dict[str, Picked] = {}
    for family, policies in tried.items():
        if only and family not in only:
            continue
        alone = {label: newcomer_effects(ours, policy, reference) for label, policy in policies.items()}
        lines += [
            PolicyEffects(
                family=family,
                label=label,
                bench=effect_of(ours, *replay(ours, policy), reference),
                newcomer=together(alone[label].values()),
            )
            for label, policy in policies.items()
        ]
        # Without the reference's trials there is no ladder to pick by.
        left_out = [name for name in chosen.submissions if family != LADDER or name != reference]
        if family != "exact" and len(left_out) > 1:
            labels = {name: pick(ours, policies, name, reference, promised(family)) for name in left_out}
            chosen_effects = [alone[label][name] for name, label in labels.items()]
            picked[family] = Picked(labels=labels, newcomer=together(chosen_effects))
    return Report(
        suite=suite,
        ruleset=ruleset,
        reference=reference,
        submissions=chosen.submissions,
        trials=chosen.count,
        logged_s=sum(record.submission_s for record in ours),
        lines=tuple(lines),
        picked=picked,
    )

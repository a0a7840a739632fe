"""What a stopping policy would have saved on trials that ran to their end, and what it would have done to scores.

Hours are those of submission time. The order that is assumed: one trial at a time, base workloads before their
variants, then by study, by trial, by workload and by submission's name. Trials that run side by side know less of
each other, so a cluster saves less. A trial ends at its target here, as the harness ends it, where its log goes on.

Scores are over base workloads, the anchored one too.

Two settings are printed. In a *bench* all submissions start from nothing and every one is replayed. A *newcomer*
is replayed alone, all others being recorded in full; each submission is the newcomer once. Whatever a policy learns
for a submission, it learns from others and from that submission's own earlier trials, as a live harness could.

A strictness that is chosen by its errors must be judged on trials that it was not chosen on. For each submission
the line "picked on the others" takes the cheapest strictness that moves no score of the others by more than 0.01,
or of the ladder's policies no ladder score by more than 3 %, their replays made as if that submission had never
run.
"""

from scoring.replay.effects import TOLERANCES, Effect, credits
from scoring.replay.reports import PolicyEffects, Report, families, report
from scoring.replay.run import in_full, replay, with_lost_studies
from scoring.replay.text import as_text, curves

__all__ = [
    "TOLERANCES",
    "Effect",
    "PolicyEffects",
    "Report",
    "as_text",
    "credits",
    "curves",
    "families",
    "in_full",
    "replay",
    "report",
    "with_lost_studies",
]

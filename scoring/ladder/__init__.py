"""The ladder score: speed-ups over many levels of quality, relative to the reference's own learning curves.

A ladder is a few values of the validation metric, from easy to the target, that the reference reaches on its way.
The speed-up at a level is how much sooner a trial reaches it than the reference. Their geometric mean is a number
for every trial, also for one that misses the target, and for workloads that have none.
"""

from scoring.ladder.ladder import Ladder, climb

__all__ = ["Ladder", "climb"]

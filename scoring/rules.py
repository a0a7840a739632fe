"""The scores by name. A rule is how the trial that decides a study is picked, and what credit its times earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from scoring import scores, times
from scoring.names import Score
from scoring.scores import Array


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A score. `pick` as in times.study_result; `area` as in scores.algoperf, None for the other scores.

    `relative`: whether credits depend on who else entered. `digits`: of the score in tables. `of_curves`: whether
    it is made of whole learning curves (scoring.ladder), and is a speed-up; else of times to the target.
    """

    pick: times.Pick = times.fastest
    area: Callable[[Array], Array] | None = None
    digits: int = 3
    of_curves: bool = False

    @property
    def relative(self) -> bool:
        return self.area is not None

    def credit(
        self, *, reference: int | None, budget: Array, held_out: Mapping[int, int]
    ) -> Callable[[Array], Array]:
        """The function from medians [..., S, W] to credits [..., S, B] on the workloads that the score is over:
        all of them, or for a relative one the base workloads."""
        if self.area is None:
            return partial(scores.anchored, reference=reference, budget=budget)
        return partial(scores.algoperf, held_out=held_out, area=self.area)


RULES: dict[Score, Rule] = {
    "ladder": Rule(digits=2, of_curves=True),
    "anchored": Rule(),
    "algoperf": Rule(area=scores.exact_area),
    "algoperf-published": Rule(pick=times.fewest_evaluations, area=scores.published_area, digits=4),
}

"""A learning curve in small: the best value so far, where it changes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("step", "examples", "time_s", "best")
_WIDTH = len(COLUMNS)


class Evaluated(Protocol):
    """What a curve needs of an evaluation."""

    @property
    def step(self) -> int: ...
    @property
    def examples(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def value(self) -> float | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The best value so far of one trial, at the evaluations between which nothing is lost by a straight line: each
    that improved it, the one before each of those, and the last.

    `numbers` holds four of each evaluation: step, examples, submission time in seconds, best value so far. The last
    is NaN in a curve that never had a finite value. 32 bytes an evaluation.
    """

    numbers: array[float]

    @classmethod
    def of(cls, evaluations: Iterable[Evaluated], *, higher_is_better: bool) -> Curve:
        """The curve of these evaluations, in order."""
        numbers: array[float] = array("d")
        best = math.nan
        skipped: tuple[float, float, float] | None = None  # the last evaluation that is not in yet
        for each in evaluations:
            value = each.value
            at = (each.step, each.examples, each.time_s)
            if value is not None and (best != best or (value > best if higher_is_better else value < best)):
                if skipped is not None and best == best:
                    numbers.extend((*skipped, best))
                best, skipped = value, None
                numbers.extend((*at, best))
            else:
                skipped = at
        if skipped is not None:
            numbers.extend((*skipped, best))
        return cls(numbers)

    @classmethod
    def of_columns(cls, columns: Sequence[Sequence[float | None]]) -> Curve:
        """The curve that `columns` lists. Raises ValueError unless there are four of the same length."""
        if len(columns) != _WIDTH or len({len(column) for column in columns}) != 1:
            raise ValueError(f"a curve is {_WIDTH} lists of the same length: {', '.join(COLUMNS)}")
        numbers = array("d", bytes(8 * _WIDTH * len(columns[0])))
        for index, column in enumerate(columns):
            numbers[index::_WIDTH] = array("d", [math.nan if each is None else each for each in column])
        return cls(numbers)

    def columns(self) -> list[Sequence[float | None]]:
        """Steps, examples, seconds and best values, each a list of plain numbers, None for no best yet."""
        steps, examples, times, bests = (self.numbers[index::_WIDTH] for index in range(_WIDTH))
        return [
            [int(step) for step in steps],
            [int(count) for count in examples],
            times.tolist(),
            [None if best != best else best for best in bests],
        ]

    def __eq__(self, other: object) -> bool:
        """Whether the numbers are the same; a best that is not there is equal to itself."""
        return isinstance(other, Curve) and self.numbers.tobytes() == other.numbers.tobytes()

    __hash__ = None  # pyright: ignore[reportAssignmentType] - an array may change

    def __len__(self) -> int:
        return len(self.numbers) // _WIDTH

    def table(self) -> NDArray[np.float64]:
        """The same as an array [E, 4], in the order of COLUMNS; it shares the curve's memory."""
        import numpy as np  # help and refusals, which read no curve, come at once without it

        return np.frombuffer(self.numbers, np.float64).reshape(-1, _WIDTH)

    def rounded(self, digits: int, time_digits: int) -> Curve:
        """With best values to so many significant digits but for the last, and seconds to so many decimals."""
        steps, examples, times, bests = self.columns()
        short = [None if best is None else float(f"{best:.{digits}g}") for best in bests]
        short[-1:] = bests[-1:]
        return Curve.of_columns(
            [steps, examples, [None if t is None else round(t, time_digits) for t in times], short]
        )

"""Successive evaluation budgets: everyone on a few images, the better half on more, the best on all.

Successive halving (Jamieson and Talwalkar 2016) of each population that a strategy proposes. Images of a smaller budget
are among those of a larger one, as an evaluator draws them. What is chosen in the end is judged on the last budget, so
that no network is picked for its luck on a few images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from config_file.errors import UserError
from search.objectives import ACCURACY, Objective
from search.result import Fidelity, Result
from supernet import Architecture

Pick = Callable[[Sequence[Result]], Sequence[Result]]
"""What a search would choose from its results."""


@dataclass(frozen=True)
class Budgets:
    """Rising fidelities; (None,) leaves the one there is to the evaluator. `objective`: what is better."""

    fidelities: tuple[Fidelity | None, ...] = (None,)
    objective: Objective = ACCURACY

    @property
    def most(self) -> Fidelity | None:
        """The last one."""
        return self.fidelities[-1]


ALL_ALIKE = Budgets()


class Ladder:
    """Who goes on to the next budget."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._seen: list[list[float]] = [[] for _ in budgets.fidelities]

    def better_half(self, results: Sequence[Result], rung: int) -> list[Architecture]:
        """Of a population with its results on one budget; [] after the last.

        One that is proposed alone goes on where it is not below the median of all that were on this budget before.
        """
        if rung + 1 == len(self._budgets.fidelities):
            return []
        score = self._budgets.objective.score
        sound = sorted((result for result in results if not result.failed), key=score, reverse=True)
        seen = self._seen[rung]
        seen += map(score, sound)
        if len(results) == 1:
            return [result.architecture for result in sound if score(result) >= median(seen)]
        return [result.architecture for result in sound[: -(-len(sound) // 2)]]


def budgets_of(images: Sequence[int], available: int, objective: Objective) -> Budgets:
    """The budgets of `--eval-images`, of which 0 is all images, and none more than are available.

    Raises:
        UserError: they do not rise.
    """
    asked = [number or math.inf for number in images]
    if any(first >= second for first, second in pairwise(asked)):
        raise UserError(f"--eval-images {','.join(map(str, images))}: successive budgets rise, and 0 (all) is the last")
    kept = sorted({int(min(number, available)) for number in asked})
    return Budgets(tuple(Fidelity(images=number) for number in kept) if len(kept) > 1 else (None,), objective)

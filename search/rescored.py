"""Scores that depend on each other: what a search is told, and chooses by, in the place of its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from search.evaluators import Context
from search.objectives import Objective
from search.problem import Problem
from search.result import Result
from supernet import Architecture, NetworkSpace
from supernet.decisions import DecisionSpace


class Rescored(ABC):
    """Scores of a search in the light of everything that it has evaluated so far.

    So they change as it goes on: strategies are told again what they remember, and what is chosen in the end is chosen
    by the scores among all. They are a function of the results, whether those were made now or before an interruption.

    Attributes:
        becomes: the objective that stands for the one that is rescored.

    Args:
        space: of the results.
        objective: that is rescored.
    """

    becomes: ClassVar[Objective]

    def __init__(self, space: DecisionSpace, objective: Objective) -> None:
        self.space, self.objective = space, objective
        self._numbers: dict[object, int] = {}
        self._number: dict[Architecture, int] = {}

    @classmethod
    @abstractmethod
    def made(cls, problem: Problem, objective: Objective, context: Context) -> Self:
        """The scores of a search. Raises UserError where they cannot be had."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The score, for people."""

    @abstractmethod
    def scores(self, results: Sequence[Result]) -> NDArray[np.float64]:
        """(N,) of N results that did not fail."""

    def verdict(self, results: Sequence[Result]) -> str:
        """Words for how the results were chosen in the end; "" where the words before said it all."""
        return ""

    def objectives(self, problem: Problem) -> tuple[Objective, ...]:
        """Those of a problem, with the new one in the place of what is rescored."""
        return tuple(self.becomes if objective == self.objective else objective for objective in problem.objectives)

    def __call__(self, results: Sequence[Result]) -> list[Result]:
        """The results in their order, those that did not fail with the metric of `becomes`."""
        good = [result for result in results if not result.failed]
        found = iter(self.scores(good).tolist() if good else ())
        return [
            result if result.failed else replace(result, metrics={**result.metrics, self.becomes.name: next(found)})
            for result in results
        ]

    def raw(self, results: Sequence[Result]) -> NDArray[np.float64]:
        """(N,) scores as they were measured, greater is better."""
        return np.array([self.objective.score(result) for result in results])

    def same(self, results: Sequence[Result]) -> NDArray[np.intp]:
        """(N,) numbers, equal for architectures that are the same network."""
        for result in results:
            architecture = result.architecture
            if architecture not in self._number:
                space = self.space
                # Cells may be the same network without being the same architecture.
                key = architecture if not isinstance(space, NetworkSpace) else space.network_key(architecture)
                self._number[architecture] = self._numbers.setdefault(key, len(self._numbers))
        numbers = [self._number[result.architecture] for result in results]
        return np.unique(numbers, return_inverse=True)[1].astype(np.intp)


def seen_by(problem: Problem, rescored: Rescored | None) -> Problem:
    """The problem as a strategy sees it that is told the scores: its objective is their own."""
    return problem if rescored is None else replace(problem, objectives=rescored.objectives(problem))

"""Strategies that propose in generations, and what all of them have in common.

The proposals of a generation are made together, handed out in any portions, and the next ones are made when all of
these were told. That makes a strategy independent of how many architectures are asked for at once, and of the order in
which results arrive.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import isnan
from random import Random
from typing import ClassVar

from config_file.errors import UserError
from search.problem import Problem
from search.result import Result
from supernet import Architecture

Scores = tuple[float, ...]
"""One number per objective, greater is better; NaN where the evaluation failed."""

Told = list[tuple[Architecture, Scores]]


class Generational(ABC):
    """The base of strategies that learn from scores: a subclass says what to learn and what to propose.

    Args:
        problem: the space, its limits and the objectives.
        seed: of every random draw.
    """

    front: ClassVar[bool] = False
    random_start: ClassVar[str] = ""
    size: int | None = None

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space, self.limits, self.objectives = problem.space, problem.limits, problem.objectives
        self._score_by, *self._also_by = (objective.score for objective in problem.objectives)
        self.rng = Random(seed)
        self.visited: set[Architecture] = set()
        """Everything proposed so far, that of the current generation included."""
        self._first_stage = iter(problem.candidates)
        self._out: list[Architecture] = []
        self._handed = 0
        self._told: dict[Architecture, Scores | None] = {}  # None where the evaluation failed

    @abstractmethod
    def propose(self) -> list[Architecture]:
        """The next generation, canonical and within the limits; [] when there is nothing left to propose."""

    def candidate(self) -> Architecture | None:
        """The best one of the first stage that was not proposed yet; None where there is none any more."""
        unseen = (a for a in self._first_stage if a not in self.visited and self.limits.allows(a))
        return next(unseen, None)

    def beginning(self, count: int) -> list[Architecture]:
        """So many to begin with, none proposed before: the candidates of a first stage, and then random ones."""
        found: list[Architecture] = []
        while len(found) < count and (candidate := self.candidate()) is not None:
            found.append(candidate)
        return found + self.limits.sample_distinct(self.rng, count - len(found), self.visited.union(found))

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        """Newer scores in the place of those that were learned from. Raises UserError where that cannot be done."""
        raise UserError(f"{type(self).__name__} learns from scores that do not change afterwards")

    @abstractmethod
    def learn(self, told: Told) -> None:
        """Take in a generation, in the order proposed, without the evaluations that failed."""

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the generation that is out; the next one is made when all of this one was told.

        Raises:
            RuntimeError: not all results of this generation were told.
        """
        out, told = self._out, self._told
        if self._handed == len(out):
            if len(told) < len(out) and any(member not in told for member in out):
                raise RuntimeError("tell the results of this generation before asking for the next one")
            if out:
                # A failed evaluation is remembered as proposed, and nothing is learned from it.
                self.learn([(member, scores) for member in out if (scores := told[member]) is not None])
            out = self._out = self.propose()
            self.visited.update(out)
            self._told = {}
            self._handed = 0
        proposals = out[self._handed : self._handed + n]
        self._handed += len(proposals)
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        """Results of proposals, in any order."""
        score, further = self._score_by, self._also_by
        for result in results:
            scores = (score(result),) if not further else (score(result), *[more(result) for more in further])
            self.tell_scores(result.architecture, scores)

    def retell(self, results: Sequence[Result]) -> None:
        """All results told so far, and those to be told next, where their scores depend on each other."""
        everything = {result.architecture: tuple(o.score(result) for o in self.objectives) for result in results}
        scores = {architecture: known for architecture, known in everything.items() if not isnan(sum(known))}
        self._told.update((architecture, scores[architecture]) for architecture in self._told if architecture in scores)
        self.remember(scores)

    def tell_scores(self, architecture: Architecture, scores: Scores) -> None:
        """The worth of a proposal by each objective; NaN where its evaluation failed."""
        self._told[architecture] = None if isnan(sum(scores)) else scores

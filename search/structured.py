"""Scores of a search by a structure: what single options and neighbouring ones say, where that is the better score."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from config_file.options import part_of
from search.evaluators import Context
from search.objectives import Objective
from search.problem import Problem
from search.rescored import Rescored
from search.result import Result
from search.structure.model import Floats, ranks
from search.structure.options import StructureOptions
from search.structure.selection import SHARED, Selection, deviation_of, noise_share, select
from supernet import Architecture
from supernet.decisions import DecisionSpace

STRUCTURED = Objective("structured", maximise=True, measured=True)


class Structured(Rescored):
    """Scores by a structure that is fitted to everything that was evaluated; raw ones where none is accepted.

    Either way they are ranks, from 0 to 1.

    Args:
        error: share of the variance of ranks that is error which no interval of a result shows.
        trained: accuracies of networks that were trained alone.
    """

    Options = StructureOptions
    becomes = STRUCTURED

    def __init__(
        self,
        space: DecisionSpace,
        objective: Objective,
        error: float,
        trained: Mapping[Architecture, float] | None = None,
    ) -> None:
        super().__init__(space, objective)
        self._error, self._trained = error, trained or {}

    @classmethod
    def made(cls, problem: Problem, objective: Objective, context: Context) -> Self:
        error = part_of(context.options, StructureOptions).score_error
        if error is None:
            error = SHARED if context.needs_supernet else 0.0
        return cls(problem.space, objective, error, problem.trained)

    @property
    def words(self) -> str:
        return f"{self.objective.name} by a structure of the decisions, where cross-validation accepts one"

    def scores(self, results: Sequence[Result]) -> Floats:
        selection = self.selection(results)
        if selection is None or not selection.accepted:
            return ranks(self.raw(results))
        return selection.fit.structure([result.architecture for result in results])

    def verdict(self, results: Sequence[Result]) -> str:
        good = [result for result in results if not result.failed]
        selection = self.selection(good)
        if selection is None:
            return f"{len(good)} networks are too few to choose a structure by: raw scores count"
        return selection.words

    def selection(self, results: Sequence[Result]) -> Selection | None:
        """The structure of results that did not fail; None of too few."""
        raw = self.raw(results)
        noise = noise_share(raw, np.array([deviation_of(result.interval) for result in results]))
        networks = [result.architecture for result in results]
        return select(self.space, networks, raw, noise, self.same(results).tolist(), self._trained, self._error)

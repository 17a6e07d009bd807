"""LINAS (Cummings et al. 2022): search on predictors, measure what they prefer, learn from it, and again.

A population is measured; one predictor per objective is fitted to everything measured so far; NSGA-II runs on the
predictors; what it ends with is the next population. Unlike in DyNAS-T decisions that do not matter are masked, nothing
is measured twice, costs that a table knows are not predicted, and every member of the final front was really measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from config_file.fields import option
from config_file.options import options
from search.objectives import Objective
from search.problem import Problem
from search.strategies.generation import Generational, Scores, Told
from search.strategies.nsga import Nsga2, NsgaOptions
from search.strategies.shared_options import PopulationOptions
from search.strategies.surrogate import Predictor, fit_predictor, one_hot
from search.strategies.survival import rank_and_crowding
from supernet import Architecture


@options("Predictor")
class PredictorOptions(PopulationOptions):
    """Search on predictors of what was measured."""

    inner_evaluations: int = option(5000, "predictions per round of predictor", at_least=1, at_most=10**7)
    warm_start: str | None = option(
        None,
        "results that predictor learns from first: archive.jsonl, results.csv, a CSV of DyNAS-T's or Neural "
        "Compressor's, once-for-all's accuracies, or a file of python -m search.predictor",
        metavar="FILE",
    )


class PredictorSearch(Generational):
    """Measure a population, predict, search on the predictions, measure what was found.

    It learns from the earlier results of the problem, too. The best of them are the first to be measured here, so that
    what the search ends with holds them; the others are not proposed.

    Attributes:
        rounds: of every round of predictions {objective: its predictor}; of what is looked up in a table there is none.
    """

    Options = PredictorOptions
    random_start: ClassVar[str] = "population"
    front: ClassVar[bool] = True

    def __init__(self, problem: Problem, options: PredictorOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._problem = replace(problem, candidates=())  # which are measured, not predicted
        self.rounds: list[dict[str, Predictor]] = []
        self._population, self._predictions = options.population, options.inner_evaluations
        earlier = {
            self.space.canonical(result.architecture): tuple(objective.score(result) for objective in self.objectives)
            for result in problem.earlier
        }
        self.visited.update(earlier)
        self._known: dict[Architecture, Scores] = {a: s for a, s in earlier.items() if not any(map(isnan, s))}
        allowed = {a: scores for a, scores in self._known.items() if self.limits.allows(a)}
        self._to_confirm = self._fittest(allowed, self._population // 2)

    def learn(self, told: Told) -> None:
        self._known.update(told)

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._known.update((member, scores[member]) for member in self._known if member in scores)

    def propose(self) -> list[Architecture]:
        wanted = self._population
        made, self._to_confirm = self._to_confirm, []
        if len(self._known) > 1:
            made += self._search(wanted - len(made))
        self.visited.update(made)
        return made + self.beginning(wanted - len(made))

    def _search(self, wanted: int) -> list[Architecture]:
        """The best that NSGA-II meets on the predictors and that was not measured, the fittest first."""
        predict = self._predictors()
        elite = self._fittest(self._known, self._population)
        settings = NsgaOptions(population=2 * self._population)
        inner = Nsga2(self._problem, settings, self.rng.getrandbits(32), start=elite)
        new: dict[Architecture, Scores] = {}
        left = self._predictions
        while left and (batch := inner.ask(left)):
            left -= len(batch)
            for architecture, scores in zip(batch, map(tuple, predict(batch).tolist()), strict=True):
                inner.tell_scores(architecture, scores)
                if architecture not in self.visited:
                    new[architecture] = scores
            new = {a: new[a] for a in self._fittest(new, wanted)}
        return list(new)

    def _fittest(self, scored: Mapping[Architecture, Scores], count: int) -> list[Architecture]:
        """By rank and crowding."""
        if not scored or not count:
            return []
        architectures = list(scored)
        values = -np.array(list(scored.values()), dtype=np.float64)
        return [architectures[position] for position, _ in rank_and_crowding(values, count)]

    def _predictors(self) -> Callable[[Sequence[Architecture]], NDArray[np.float64]]:
        """(N,) architectures -> (N, M) scores: exact where there is a table, predicted otherwise."""
        space = self.space
        features = one_hot(space, list(self._known))
        values = np.array(list(self._known.values()))
        seed = self.rng.getrandbits(32)
        self.rounds.append({})
        columns = [
            self._column(objective, features, values[:, number], seed)
            for number, objective in enumerate(self.objectives)
        ]

        def predict(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
            encoded = one_hot(space, architectures)
            return np.stack([column(architectures, encoded) for column in columns], axis=1)

        return predict

    def _column(
        self, objective: Objective, features: NDArray[np.float64], scores: NDArray[np.float64], seed: int
    ) -> Callable[[Sequence[Architecture], NDArray[np.float64]], NDArray[np.float64]]:
        """(architectures, their features) -> (N,) scores by one objective."""
        table = self._problem.tables.get(objective.name)
        if table is None:
            fitted = self.rounds[-1][objective.name] = fit_predictor(features, scores, seed)
            return lambda architectures, encoded: fitted.model.predict(encoded)
        sign = 1 if objective.maximise else -1
        return lambda architectures, encoded: sign * table.cost(np.asarray(architectures))

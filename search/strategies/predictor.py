"""LINAS (Cummings et al. 2022): search on predictors, measure what they prefer, learn from it, and again.

A population is measured; one predictor per objective is fitted to everything measured so far; NSGA-II runs on the
predictors; what it ends with is the next population. Unlike in DyNAS-T decisions that do not matter are masked, nothing
is measured twice, costs that a table knows are not predicted, and every member of the final front was really measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Scores, Told, scores_from_json, scores_to_json
from search.strategies.nsga import Nsga
from search.strategies.random_state import rng_from_json, rng_to_json
from search.strategies.surrogate import fit_predictor, one_hot
from search.strategies.survival import rank_and_crowding
from supernet import Architecture

CostFunction = Callable[[Sequence[Architecture]], NDArray[np.float64]]


@options("Predictor")
class PredictorOptions:
    """Search on predictors of what was measured."""

    inner_evaluations: int = option(5000, "predictions per round of predictor", at_least=1)
    warm_start: str | None = option(
        None, "archive.jsonl or results.csv that predictor learns from first", metavar="FILE"
    )


class PredictorSearch:
    """Measure, predict, search on the predictions, measure what was found.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        objectives: what is optimised, one or several.
        costs: by objective what computes it exactly; the others are predicted.
        evaluations: proposals in all.
        population: architectures measured per round; the first ones are random.
        inner_evaluations: predictions per round.
        measured: results known beforehand, to learn from. The best of them are the first to be measured here, so that
            what the search ends with holds them; the others are not proposed.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        objectives: Sequence[Objective] = (ACCURACY, Objective("flops")),
        costs: Mapping[str, CostFunction] | None = None,
        evaluations: int = 1000,
        population: int = 60,
        inner_evaluations: int = 5000,
        measured: Sequence[Result] = (),
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.objectives = tuple(objectives)
        self.costs = costs or {}
        self.budget = evaluations
        self.population = population
        self.inner_evaluations = inner_evaluations
        self._rng = Random(seed)
        self._generation = Generation()
        self._proposed = 0
        self._known: dict[Architecture, Scores] = {
            constraint.space.canonical(result.architecture): self._scores(result) for result in measured
        }
        self._to_confirm = self._fittest(
            {a: scores for a, scores in self._known.items() if constraint.allows(a) and not any(map(isnan, scores))},
            population // 2,
        )

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the population that is out; the next one is searched for when all of it was told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, self._scores(result))

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "proposed": self._proposed,
            "known": [[list(architecture), scores_to_json(scores)] for architecture, scores in self._known.items()],
            "to_confirm": [list(architecture) for architecture in self._to_confirm],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._proposed = state["proposed"]
        self._known = {tuple(architecture): scores_from_json(scores) for architecture, scores in state["known"]}
        self._to_confirm = [tuple(architecture) for architecture in state["to_confirm"]]

    def _scores(self, result: Result) -> Scores:
        return tuple(objective.score(result) for objective in self.objectives)

    def _learn(self, told: Told) -> None:
        self._known.update(told)

    def _propose(self) -> list[Architecture]:
        wanted = min(self.population, self.budget - self._proposed)
        if wanted <= 0:
            return []
        succeeded = [a for a, scores in self._known.items() if not any(map(isnan, scores))]
        made, self._to_confirm = self._to_confirm[:wanted], []
        if len(succeeded) > 1:
            made += self._search(succeeded, wanted - len(made))
        made += self.constraint.sample_distinct(self._rng, wanted - len(made), self._known.keys() | set(made))
        self._proposed += len(made)
        return made

    def _search(self, succeeded: list[Architecture], wanted: int) -> list[Architecture]:
        """The best that NSGA-II meets on the predictors and that is not known, the fittest first."""
        predict = self._predictors(succeeded)
        elite = self._fittest({a: self._known[a] for a in succeeded}, self.population)
        inner = Nsga(
            self.constraint,
            objectives=self.objectives,
            evaluations=self.inner_evaluations,
            population=2 * self.population,
            start=elite,
            seed=self._rng.getrandbits(32),
        )
        new: dict[Architecture, Scores] = {}
        while batch := inner.ask(self.inner_evaluations):
            for architecture, scores in zip(batch, map(tuple, predict(batch).tolist()), strict=True):
                inner.tell_scores(architecture, scores)
                if architecture not in self._known:
                    new[architecture] = scores
            new = {a: new[a] for a in self._fittest(new, wanted)}
        return list(new)

    def _fittest(self, scored: Mapping[Architecture, Scores], count: int) -> list[Architecture]:
        """By rank and crowding."""
        if not scored or not count:
            return []
        architectures = list(scored)
        values = -np.array(list(scored.values()), dtype=np.float64)
        return [architectures[position] for position, _ in rank_and_crowding(values, count, self._rng)]

    def _predictors(self, succeeded: list[Architecture]) -> Callable[[Sequence[Architecture]], NDArray[np.float64]]:
        """(N,) architectures -> (N, M) scores: exact where there is a table, predicted otherwise."""
        space = self.constraint.space
        features = one_hot(space, succeeded)
        values = np.array([self._known[architecture] for architecture in succeeded])
        seed = self._rng.getrandbits(32)
        models = [
            None if objective.name in self.costs else fit_predictor(features, values[:, number], seed)[0]
            for number, objective in enumerate(self.objectives)
        ]

        def predict(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
            encoded = one_hot(space, architectures)
            columns = []
            for objective, model in zip(self.objectives, models, strict=True):
                if model is None:
                    cost = self.costs[objective.name](architectures)
                    columns.append(cost if objective.maximise else -cost)
                else:
                    columns.append(model.predict(encoded))
            return np.stack(columns, axis=1)

        return predict

"""Evolution towards a front: NSGA-II (Deb et al. 2002) and, for three objectives and more, NSGA-III (2014).

Both cross the winners of binary tournaments decision by decision, mutate one decision on average, and let the best of
parents and children survive; they differ in who that is.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from math import isnan
from random import Random
from typing import Any

import numpy as np

from config_file.errors import choose
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Scores, Told
from search.strategies.random_state import rng_from_json, rng_to_json
from search.strategies.survival import SURVIVALS
from supernet import Architecture

ATTEMPTS = 100  # per child: then a random architecture takes its place


class Nsga:
    """Multi-objective evolution in generations.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        objectives: what is optimised.
        evaluations: proposals in all.
        population: architectures of a generation; the first ones are random unless given.
        survival: a name in SURVIVALS.
        crossover_prob: probability that a child has two parents.
        mutation_prob: probability that a decision changes, to another option; None: one decision on average.
        dedup: never propose an architecture twice.
        start: architectures to begin with, instead of random ones; they are proposed, too.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        objectives: Sequence[Objective] = (ACCURACY, Objective("flops")),
        evaluations: int = 1000,
        population: int = 60,
        survival: str = "nsga2",
        crossover_prob: float = 0.9,
        mutation_prob: float | None = None,
        dedup: bool = True,
        start: Sequence[Architecture] = (),
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.objectives = tuple(objectives)
        self.budget = evaluations
        self.population = population
        self.crossover_prob = crossover_prob
        self.mutation_prob = 1 / len(constraint.space.sizes) if mutation_prob is None else mutation_prob
        self.dedup = dedup
        self._survive = choose("survival", survival, SURVIVALS)
        self._start = list(start)
        self._rng = Random(seed)
        self._generation = Generation()
        self._proposed = 0
        self._members: list[tuple[Architecture, Scores]] = []
        self._fitness: list[tuple[float, float]] = []
        self._visited: set[Architecture] = set()

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the generation that is out; the next one is bred when all of it was told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self.tell_scores(result.architecture, tuple(objective.score(result) for objective in self.objectives))

    def tell_scores(self, architecture: Architecture, scores: Scores) -> None:
        """What a proposal is worth by each objective, greater is better; predictions tell it like this."""
        self._generation.tell(architecture, scores)

    @property
    def survivors(self) -> list[Architecture]:
        """The current population, the best first."""
        order = sorted(range(len(self._members)), key=lambda i: self._fitness[i])
        return [self._members[i][0] for i in order]

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "proposed": self._proposed,
            "members": [[list(architecture), list(scores)] for architecture, scores in self._members],
            # JSON has no infinity, the crowding distance of what lies at an end
            "fitness": [[front, None if crowding == -np.inf else crowding] for front, crowding in self._fitness],
            "visited": sorted(map(list, self._visited)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._proposed = state["proposed"]
        self._members = [(tuple(architecture), tuple(scores)) for architecture, scores in state["members"]]
        self._fitness = [(front, -np.inf if crowding is None else crowding) for front, crowding in state["fitness"]]
        self._visited = {tuple(architecture) for architecture in state["visited"]}

    def _learn(self, told: Told) -> None:
        """The fittest of parents and children survive. A failed evaluation (NaN) does not."""
        pool = dict(self._members) | {a: scores for a, scores in told if not any(map(isnan, scores))}
        members = list(pool.items())
        if members:
            values = -np.array([scores for _, scores in members], dtype=np.float64)
            survivors = self._survive(values, self.population, self._rng)
            self._members = [members[position] for position, _ in survivors]
            self._fitness = [fitness for _, fitness in survivors]

    def _propose(self) -> list[Architecture]:
        first = self._proposed == 0
        excluded: Set[Architecture] = self._visited if self.dedup else frozenset()
        made: list[Architecture] = []
        for _ in range(min(self.population, self.budget - self._proposed)):
            child = self._next_start(excluded) if first else self._child(excluded)
            if child is None:
                child = self.constraint.sample(self._rng, excluded)
            if child is None:
                break
            self._visited.add(child)
            made.append(child)
        self._proposed += len(made)
        return made

    def _next_start(self, excluded: Set[Architecture]) -> Architecture | None:
        while self._start:
            architecture = self._start.pop(0)
            if architecture not in excluded and self.constraint.allows(architecture):
                return architecture
        return None

    def _child(self, excluded: Set[Architecture]) -> Architecture | None:
        """A child within the limits, not among those excluded; None if there was none in many attempts."""
        space, rng = self.constraint.space, self._rng
        for _ in range(ATTEMPTS if self._members else 0):
            child = self._parent()
            if rng.random() < self.crossover_prob:
                child = space.crossover(child, self._parent(), rng)
            child = space.canonical(space.mutate(child, rng, self.mutation_prob))
            if child not in excluded and self.constraint.allows(child):
                return child
        return None

    def _parent(self) -> Architecture:
        """The fitter of two members."""
        first, second = (int(self._rng.random() * len(self._members)) for _ in range(2))
        return self._members[first if self._fitness[first] <= self._fitness[second] else second][0]

"""Evolution towards a front: NSGA-II (Deb et al. 2002) and, for three objectives and more, NSGA-III (2014).

Both cross the winners of binary tournaments decision by decision, mutate one decision on average, and let the best of
parents and children survive; they differ in which those are.
"""

from collections.abc import Mapping, Sequence, Set
from typing import ClassVar

import numpy as np

from config_file.options import options
from search.pareto import Values
from search.problem import Problem
from search.strategies.breeding import Breeding, bred_or_drawn, one_on_average, uniform
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import DedupOptions, PopulationOptions
from search.strategies.survival import Survivor, rank_and_crowding, reference_niching
from supernet import Architecture

ATTEMPTS = 100  # per child: then a random architecture takes its place
CROSSOVER_PROB = 0.9  # of a child with two parents


@options()
class NsgaOptions(PopulationOptions, DedupOptions):
    """Multi-objective evolution."""


class Nsga2(Generational):
    """Multi-objective evolution in generations.

    Args:
        problem: the space, its limits and the objectives.
        options: architectures of a generation, and whether they may repeat.
        seed: of every random draw.
        start: architectures to begin with, instead of random ones; they are proposed, too.
    """

    Options = NsgaOptions
    random_start: ClassVar[str] = "population"
    front: ClassVar[bool] = True

    def __init__(self, problem: Problem, options: NsgaOptions, seed: int, start: Sequence[Architecture] = ()) -> None:
        super().__init__(problem, seed)
        self._population = options.population
        self._start = list(start)
        self._members: list[tuple[Architecture, Scores]] = []
        self._fitness: list[tuple[float, float]] = []
        self._excluded: Set[Architecture] = self.visited if options.dedup else frozenset()
        self._child = Breeding(
            self.limits,
            self.rng,
            self._parent,
            self._excluded,
            range(ATTEMPTS),
            crossover=uniform,
            crossover_prob=CROSSOVER_PROB,
            mutation=one_on_average,
        ).child

    @property
    def survivors(self) -> list[Architecture]:
        """The current population, the best first."""
        order = sorted(range(len(self._members)), key=lambda i: self._fitness[i])
        return [self._members[i][0] for i in order]

    def learn(self, told: Told) -> None:
        """The fittest of parents and children survive."""
        members = list((dict(self._members) | dict(told)).items())
        if members:
            values = -np.array([scores for _, scores in members], dtype=np.float64)
            survivors = self._survive(values, self._population)
            self._members = [members[position] for position, _ in survivors]
            self._fitness = [fitness for _, fitness in survivors]

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._members = [(member, scores.get(member, known)) for member, known in self._members]

    def _survive(self, values: Values, survivors: int) -> list[Survivor]:
        return rank_and_crowding(values, survivors)

    def propose(self) -> list[Architecture]:
        breed = self._child if self._members else self._next_start
        return bred_or_drawn(self.limits, self.rng, self._population, self.visited, self._excluded, breed)

    def _next_start(self) -> Architecture | None:
        while self._start:
            architecture = self._start.pop(0)
            if architecture not in self._excluded and self.limits.allows(architecture):
                return architecture
        return self.candidate()

    def _parent(self) -> Architecture:
        """The fitter of two members: a binary tournament."""
        first, second = (int(self.rng.random() * len(self._members)) for _ in range(2))
        return self._members[first if self._fitness[first] <= self._fitness[second] else second][0]


class Nsga3(Nsga2):
    """The same with the survival of NSGA-III."""

    def _survive(self, values: Values, survivors: int) -> list[Survivor]:
        return reference_niching(values, survivors, self.rng)

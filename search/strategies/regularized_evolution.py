"""Regularised evolution (Real et al. 2019): the oldest dies, not the worst.

A child is a mutant of the best of a few randomly drawn members of the population. It joins the population and the
oldest member leaves, so that nothing survives on one lucky evaluation.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence, Set
from math import comb
from random import Random
from typing import Any

from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Told
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture

ATTEMPTS = 500  # per child, as NNI's: then a random architecture takes its place

Member = tuple[float, int, Architecture]
"""(minus its score, its number in the order of birth, itself): the best, of equals the oldest, sorts first."""


@options("Regularized evolution")
class RegularizedEvolutionOptions:
    """Ageing evolution."""

    re_population: int = option(100, "members alive", at_least=1)
    re_sample: int = option(25, "members of a tournament", at_least=1)
    re_mutation_prob: float | None = option(
        None,
        "probability to change a decision; none: exactly one changes",
        above=0,
        at_most=1,
    )
    re_crossover: bool = option(False, "cross two winners decision by decision before the mutation")


class RegularizedEvolution:
    """Ageing evolution, one child at a time.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        evaluations: proposals in all.
        population: members that are alive; the first ones are random.
        sample_size: members of a tournament, drawn without replacement (at most the population).
        mutation_prob: probability that a decision changes, to another option; None: exactly one does, as in the paper.
        crossover: cross the winners of two tournaments decision by decision before the mutation.
        dedup: never propose an architecture twice.
        proposals: children made at once, from the same population.
        objective: what is optimised.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        evaluations: int = 1000,
        population: int = 100,
        sample_size: int = 25,
        mutation_prob: float | None = None,
        crossover: bool = False,
        dedup: bool = True,
        proposals: int = 1,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.budget = evaluations
        self.population = population
        self.sample_size = sample_size
        self.mutation_prob = mutation_prob
        self.crossover = crossover
        self.dedup = dedup
        self.proposals = proposals
        self.objective = objective
        self._rng = Random(seed)
        self._generation = Generation()
        self._proposed = 0
        self._born = 0
        self._ranked: list[Member] = []
        self._oldest_first: deque[Member] = deque()
        self._visited: set[Architecture] = set()
        self._tournaments: dict[int, list[float]] = {}

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the children that are out; the next ones are made when these were told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, (self.objective.score(result),))

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "proposed": self._proposed,
            "born": self._born,
            "population": [[loss, number, list(architecture)] for loss, number, architecture in self._oldest_first],
            "visited": sorted(map(list, self._visited)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._proposed = state["proposed"]
        self._born = state["born"]
        self._oldest_first = deque((loss, number, tuple(a)) for loss, number, a in state["population"])
        self._ranked = sorted(self._oldest_first)
        self._visited = {tuple(architecture) for architecture in state["visited"]}

    def _learn(self, told: Told) -> None:
        """The children join, the oldest leave. A failed evaluation (NaN) is not born."""
        ranked, oldest_first = self._ranked, self._oldest_first
        for architecture, (score,) in told:
            if score != score:  # noqa: PLR0124 - NaN; once per evaluation of a table
                continue
            member = (-score, self._born, architecture)
            self._born += 1
            insort(ranked, member)
            oldest_first.append(member)
            if len(oldest_first) > self.population:
                del ranked[bisect_left(ranked, oldest_first.popleft())]

    def _propose(self) -> list[Architecture]:
        first = self._proposed < self.population
        wanted = min(self.population - self._proposed if first else self.proposals, self.budget - self._proposed)
        excluded: Set[Architecture] = self._visited if self.dedup else frozenset()
        made: list[Architecture] = []
        for _ in range(wanted):
            child = None if first or not self._ranked else self._child(excluded)
            if child is None:
                child = self.constraint.sample(self._rng, excluded)
            if child is None:
                break
            self._visited.add(child)
            made.append(child)
        self._proposed += len(made)
        return made

    def _child(self, excluded: Set[Architecture]) -> Architecture | None:
        """A child within the limits, not among those excluded; None if there was none in many attempts."""
        space, rng, probability = self.constraint.space, self._rng, self.mutation_prob
        for _ in range(ATTEMPTS):
            parent = self._winner()
            child = space.crossover(parent, self._winner(), rng) if self.crossover else parent
            child = self._changed(child) if probability is None else space.mutate(child, rng, probability)
            child = space.canonical(child)
            if child not in excluded and child != parent and self.constraint.allows(child):
                return child
        return None

    def _changed(self, architecture: Architecture) -> Architecture:
        """One decision, drawn uniformly, with another option."""
        draw, sizes = self._rng.random, self.constraint.space.sizes
        decision = int(draw() * len(sizes))
        size = sizes[decision]
        option = (architecture[decision] + 1 + int(draw() * (size - 1))) % size
        return (*architecture[:decision], option, *architecture[decision + 1 :])

    def _winner(self) -> Architecture:
        """The best of `sample_size` members drawn without replacement: its rank is drawn from its distribution."""
        size = len(self._ranked)
        beaten = self._tournaments.get(size)
        if beaten is None:
            drawn = min(self.sample_size, size)
            ways = comb(size, drawn)
            beaten = [1 - comb(size - rank - 1, drawn) / ways for rank in range(size)]
            self._tournaments[size] = beaten
        return self._ranked[bisect_left(beaten, self._rng.random())][2]

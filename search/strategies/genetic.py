"""A genetic algorithm as MF-NAS sets it: two-point crossover, mutation, and tournaments of parents and children.

(Goldberg and Deb 1991 for the tournaments.) Parents win tournaments of two; a generation of children joins the
population, and tournaments without replacement among both leave as many as there were.
"""

from collections.abc import Mapping, Sequence, Set
from typing import ClassVar

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.breeding import Breeding, bred_or_drawn, redraw, two_point, uniform
from search.strategies.filling import FillOptions, filling
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import DedupOptions
from supernet import Architecture

ATTEMPTS = 100  # per child, as MF-NAS': then a random architecture takes its place
CROSSOVERS = {"two_point": two_point, "uniform": uniform}

Member = tuple[float, Architecture]


@options("Genetic algorithm")
class GeneticOptions(DedupOptions, FillOptions):
    """A genetic algorithm with survival by tournaments."""

    ga_population: int = option(10, "architectures of a generation", at_least=2, at_most=10**5)
    ga_tournament: int = option(2, "members of a tournament for survival", at_least=2, at_most=10**5)
    ga_crossover: str = option(
        "two_point",
        "how two parents are crossed",
        choices=tuple(CROSSOVERS),
        aliases={"2X": "two_point", "UX": "uniform"},
    )
    ga_crossover_prob: float = option(0.9, "share of the children that have two parents", at_least=0, at_most=1)
    ga_mutations: float = option(1.0, "decisions of a child that change on average", above=0, at_most=10**5)


class Genetic(Generational):
    """Generations of children, and tournaments of parents and children for survival."""

    Options = GeneticOptions
    random_start: ClassVar[str] = "ga_population"

    def __init__(self, problem: Problem, options: GeneticOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._population, self._tournament = options.ga_population, options.ga_tournament
        self._members: list[Member] = []
        self._parents: list[Architecture] = []
        self._excluded: Set[Architecture] = self.visited if options.dedup else frozenset()
        self._child = Breeding(
            self.limits,
            self.rng,
            self._parent,
            self._excluded,
            range(ATTEMPTS),
            crossover=CROSSOVERS[options.ga_crossover],
            crossover_prob=options.ga_crossover_prob,
            mutation=redraw(min(1.0, options.ga_mutations / len(self.space.sizes))),
            fill=filling(self.limits, self.rng, options.fill),
        ).child

    def learn(self, told: Told) -> None:
        """Survivors are the winners of tournaments among parents and children, each of whom fights once a round."""
        pool = self._members + [(score, architecture) for architecture, (score,) in told]
        if len(pool) > self._population:
            self._members = []
            while len(self._members) < self._population:
                self._members += winners(self.rng.sample(pool, len(pool)), self._tournament)
            pool = self._members[: self._population]
        self._members = pool

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._members = [(scores.get(member, (worth,))[0], member) for worth, member in self._members]

    def propose(self) -> list[Architecture]:
        breed = self._child if self._members else self.candidate
        return bred_or_drawn(self.limits, self.rng, self._population, self.visited, self._excluded, breed)

    def _parent(self) -> Architecture:
        """A winner of a tournament of two; everybody has fought twice before anybody fights again."""
        if not self._parents:
            rounds = (self.rng.sample(self._members, len(self._members)) for _ in range(2))
            self._parents = [architecture for pairing in rounds for _, architecture in winners(pairing, 2)]
        return self._parents.pop()


def winners(pool: Sequence[Member], size: int) -> list[Member]:
    """The best of each so many one after another, of equals the earlier; the last tournament may be smaller."""
    return [max(pool[first : first + size], key=lambda member: member[0]) for first in range(0, len(pool), size)]

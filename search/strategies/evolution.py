"""Evolution over generations, in OSNASLib's form or in that of single-path one-shot (SPOS, Guo et al. 2020).

Both keep the `parent_num` best architectures ever told as parents. With OSNASLib every child is a single-point
crossover of two random parents followed by a mutation, and population - parents children make a generation. With SPOS
a generation is half mutants and half uniform crossovers, filled up to the population with random architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from random import Random
from typing import Any

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture
from supernet.decisions import DecisionSpace

Crossover = Callable[[DecisionSpace, Architecture, Architecture, Random], Architecture]

ATTEMPTS_PER_CHILD = 10  # as in SPOS: then random architectures take the place of the missing children


def single_point(_space: DecisionSpace, first: Architecture, second: Architecture, rng: Random) -> Architecture:
    """The head of one parent and the tail of the other."""
    cut = rng.randrange(1, len(first)) if len(first) > 1 else 0
    return first[:cut] + second[cut:]


def uniform(space: DecisionSpace, first: Architecture, second: Architecture, rng: Random) -> Architecture:
    """Each decision from either parent with probability one half."""
    return space.crossover(first, second, rng)


CROSSOVERS: dict[str, Crossover] = {"single_point": single_point, "uniform": uniform}


@options("Evolution")
class EvolutionOptions:
    """Evolution, in OSNASLib's form (elites and their children) and SPOS's (mutants, crossovers, random ones)."""

    evolution_form: str = option(
        "osnaslib",
        "children by crossover, then mutation; or so many of each",
        choices=("osnaslib", "spos"),
    )
    generation_num: int = option(20, "generations after the first", at_least=0)
    population: int = option(60, "architectures per generation", at_least=2)
    parent_num: int = option(10, "best architectures that have children", at_least=1)
    crossover: str | None = option(
        None,
        "cut once, or take every decision from either parent; none: single_point for osnaslib, uniform for spos",
        choices=("single_point", "uniform"),
    )
    mutation_prob: float = option(0.1, "probability to redraw a decision", above=0, at_most=1)
    mutation_num: int | None = option(None, "spos form: children by mutation; none: half the population", at_least=0)
    crossover_num: int | None = option(None, "spos form: children by crossover; none: half the population", at_least=0)

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.parent_num > self.population:
            raise UserError(f"--parent-num {self.parent_num} must be at most --population {self.population}")
        if (self.mutation_num or 0) + (self.crossover_num or 0) > self.population:
            raise UserError(
                f"--mutation-num {self.mutation_num} and --crossover-num {self.crossover_num} are together more than "
                f"--population {self.population}"
            )


class Evolution:
    """Generational evolution; see the module for what `children` makes of it.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        population: architectures of the first generation, drawn at random.
        parent_num: how many of the best so far breed.
        generation_num: generations bred after the first one.
        generation_size: proposals of each of them; None: population - parent_num.
        children: how many of them each operator makes: "offspring" (crossover, then mutation), "mutation" and
            "crossover"; random architectures fill the rest, and stand in for children that could not be found.
            None: all are offspring.
        crossover: a name in CROSSOVERS.
        mutation_prob: probability that a decision changes. The new option always differs; OSNASLib and SPOS redraw
            among all options, so that their 0.1 is 0.1·(1 - 1/options) here.
        dedup: never propose an architecture twice.
        objective: what is optimised.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        population: int = 60,
        parent_num: int = 10,
        generation_num: int = 20,
        generation_size: int | None = None,
        children: Mapping[str, int] | None = None,
        crossover: str = "single_point",
        mutation_prob: float = 0.1,
        dedup: bool = True,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.objective = objective
        self.population = population
        self.parent_num = parent_num
        self.generation_num = generation_num
        self.generation_size = population - parent_num if generation_size is None else generation_size
        self.children = {"offspring": self.generation_size} if children is None else dict(children)
        if sum(self.children.values()) > self.generation_size:
            raise ValueError(f"{self.children} are more than a generation of {self.generation_size}")
        self.crossover = choose("crossover", crossover, CROSSOVERS)
        self.mutation_prob = mutation_prob
        self.dedup = dedup
        self.budget = population + generation_num * self.generation_size
        self._rng = Random(seed)
        self._generation = 0  # bred so far
        self._members: list[Architecture] = []  # of the current generation, in the order they are proposed
        self._asked = 0  # how many of them were handed out
        self._accuracy: dict[Architecture, float] = {}  # told for the current generation
        self._parents: list[tuple[float, Architecture]] = []
        self._visited: set[Architecture] = set()

    def ask(self, n: int) -> list[Architecture]:
        """At most n proposals of the current generation; [] when the search is over.

        Raises RuntimeError when the next generation is asked for before all results of this one were told.
        """
        if self._asked == len(self._members):
            if any(member not in self._accuracy for member in self._members):
                raise RuntimeError("tell the results of this generation before asking for the next one")
            self._select()
            self._members = self._breed() if self._generation <= self.generation_num else []
            self._generation += 1
            self._asked = 0
        proposals = self._members[self._asked : self._asked + n]
        self._asked += len(proposals)
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        self._accuracy.update((result.architecture, self.objective.score(result)) for result in results)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation,
            "members": [list(member) for member in self._members],
            "asked": self._asked,
            "told": [[list(member), None if isnan(a) else a] for member, a in self._accuracy.items()],
            "parents": [[accuracy, list(parent)] for accuracy, parent in self._parents],
            "visited": sorted(map(list, self._visited)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation = state["generation"]
        self._members = [tuple(member) for member in state["members"]]
        self._asked = state["asked"]
        self._accuracy = {tuple(member): nan if a is None else a for member, a in state["told"]}
        self._parents = [(accuracy, tuple(parent)) for accuracy, parent in state["parents"]]
        self._visited = {tuple(architecture) for architecture in state["visited"]}

    def _select(self) -> None:
        """The best of the parents and the generation just told. A failed evaluation (NaN) never breeds.

        Keeping the elites in the population, as OSNASLib does, and keeping the top of all visited, as SPOS does, select
        the same architectures. Ties go to the earlier proposal, whatever the order in which results arrived.
        """
        told = [(self._accuracy[member], member) for member in self._members]
        ranked = [entry for entry in self._parents + told if not isnan(entry[0])]
        ranked.sort(key=lambda entry: -entry[0])
        self._parents = ranked[: self.parent_num]
        self._accuracy = {}

    def _breed(self) -> list[Architecture]:
        if self._generation == 0:
            return self._fill([], self.population)
        members: list[Architecture] = []
        if self._parents:
            for operator, count in self.children.items():
                members += self._make(operator, count)
        return self._fill(members, self.generation_size)

    def _make(self, operator: str, count: int) -> list[Architecture]:
        """At most `count` new children within the limits, in a bounded number of attempts."""
        made: list[Architecture] = []
        for _ in range(ATTEMPTS_PER_CHILD * count):
            if len(made) == count:
                break
            child = self.constraint.space.canonical(self._child(operator))
            if (not self.dedup or child not in self._visited) and self.constraint.allows(child):
                self._visited.add(child)
                made.append(child)
        return made

    def _child(self, operator: str) -> Architecture:
        space, rng = self.constraint.space, self._rng
        child = rng.choice(self._parents)[1]
        if operator != "mutation":
            child = self.crossover(space, child, rng.choice(self._parents)[1], rng)
        if operator != "crossover":
            child = space.mutate(child, rng, self.mutation_prob)
        return child

    def _fill(self, members: list[Architecture], size: int) -> list[Architecture]:
        """Random architectures up to `size`, fewer where the space has no more."""
        while len(members) < size:
            architecture = self.constraint.sample(self._rng, self._visited if self.dedup else frozenset())
            if architecture is None:
                break
            self._visited.add(architecture)
            members.append(architecture)
        return members

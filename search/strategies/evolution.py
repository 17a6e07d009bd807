"""Evolution over generations, in OSNASLib's form or in that of single-path one-shot (SPOS, Guo et al. 2020).

Both keep the `parent_num` best architectures ever told as parents. With OSNASLib every child is a single-point
crossover of two random parents followed by a mutation, and population - parents children make a generation. With SPOS
a generation is half mutants and half uniform crossovers, filled up to the population with random architectures.
"""

from collections.abc import Callable, Mapping, Set
from typing import ClassVar, NamedTuple

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.breeding import CROSSOVERS, Breeding, bred_or_drawn, redraw
from search.strategies.filling import FillOptions, filling
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import DedupOptions, PopulationOptions
from supernet import Architecture

ATTEMPTS_PER_CHILD = 10  # as in SPOS: then random architectures take the place of the missing children


@options("Evolution")
class EvolutionOptions(PopulationOptions, DedupOptions, FillOptions):
    """Evolution, in OSNASLib's form (elites and their children) and SPOS's (mutants, crossovers, random ones)."""

    evolution_form: str = option(
        "osnaslib", "children by crossover, then mutation; or so many of each", choices=("osnaslib", "spos")
    )
    generation_num: int = option(20, "generations after the first", at_least=0, at_most=10**6)
    parent_num: int = option(10, "best architectures that have children", at_least=1, at_most=10**5)
    crossover: str | None = option(
        None,
        "cut once, or take every decision from either parent; none: single_point for osnaslib, uniform for spos",
        choices=("single_point", "uniform"),
    )
    # The new option always differs. OSNASLib and SPOS redraw among all options: their 0.1 is 0.1 (1 - 1/options) here.
    mutation_prob: float = option(0.1, "probability to redraw a decision", above=0, at_most=1)
    mutation_num: int | None = option(
        None,
        "spos form: children by mutation; none: half the population",
        at_least=0,
        at_most=10**5,
        only={"evolution_form": ("spos",)},
    )
    crossover_num: int | None = option(
        None,
        "spos form: children by crossover; none: half the population",
        at_least=0,
        at_most=10**5,
        only={"evolution_form": ("spos",)},
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.parent_num > self.population:
            raise UserError(f"--parent-num {self.parent_num} must be at most --population {self.population}")
        if (self.mutation_num or 0) + (self.crossover_num or 0) > self.population:
            raise UserError(
                f"--mutation-num {self.mutation_num} and --crossover-num {self.crossover_num} are together more than "
                f"--population {self.population}"
            )


class Form(NamedTuple):
    """A form of evolution.

    Args:
        generation: architectures of a generation after the first; random ones fill it up.
        children: how many each operator makes: "offspring" is crossover, then mutation.
        crossover: a name in CROSSOVERS, unless an option says another.
    """

    generation: int
    children: Mapping[str, int]
    crossover: str


def osnaslib(settings: EvolutionOptions) -> Form:
    """OSNASLib's form: parents stay, children of two of them fill the population."""
    size = settings.population - settings.parent_num
    if size <= 0:
        raise UserError(
            f"--parent-num {settings.parent_num} leaves no room for children in --population {settings.population}"
        )
    return Form(size, {"offspring": size}, "single_point")


def spos(settings: EvolutionOptions) -> Form:
    """The form of SPOS: mutants, uniform crossovers, and random architectures for the rest."""
    size, mutants, crossed = settings.population, settings.mutation_num, settings.crossover_num
    if mutants is None:
        mutants = min(size // 2, size - (crossed or 0))
    if crossed is None:
        crossed = min(size // 2, size - mutants)
    return Form(size, {"mutation": mutants, "crossover": crossed}, "uniform")


FORMS: dict[str, Callable[[EvolutionOptions], Form]] = {"osnaslib": osnaslib, "spos": spos}


class Evolution(Generational):
    """Generational evolution from the best architectures so far."""

    Options = EvolutionOptions
    random_start: ClassVar[str] = "population"

    def __init__(self, problem: Problem, options: EvolutionOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._form = FORMS[options.evolution_form](options)
        self._crossover = CROSSOVERS[options.crossover or self._form.crossover]
        self._mutation = redraw(options.mutation_prob)
        self._fill_up = filling(self.limits, self.rng, options.fill)
        self._population, self._parent_num = options.population, options.parent_num
        self._excluded: Set[Architecture] = self.visited if options.dedup else frozenset()
        self._generations = iter(range(options.generation_num + 1))
        self.size = options.population + options.generation_num * self._form.generation
        self._parents: list[tuple[float, Architecture]] = []

    @staticmethod
    def generation_sizes(saved: Mapping[str, str]) -> tuple[int, int] | None:
        """The size of the first and of later generations by saved options; None where evaluations do not show them."""
        if saved.get("dedup") != "true" or not {"population", "parent_num", "evolution_form"} <= saved.keys():
            return None
        first = int(saved["population"])
        return first, first if saved["evolution_form"] == "spos" else first - int(saved["parent_num"])

    def learn(self, told: Told) -> None:
        """The best of the parents and the generation just told become parents.

        Keeping the elites in the population, as OSNASLib does, and keeping the top of all visited, as SPOS does, select
        the same architectures. Ties go to the earlier proposal, whatever the order in which results arrived.
        """
        ranked = self._parents + [(score, member) for member, (score,) in told]
        ranked.sort(key=lambda entry: -entry[0])
        self._parents = ranked[: self._parent_num]

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        again = [(scores.get(member, (score,))[0], member) for score, member in self._parents]
        self._parents = sorted(again, key=lambda entry: -entry[0])

    def propose(self) -> list[Architecture]:
        number = next(self._generations, None)
        if number is None:
            return []
        if number == 0:
            return bred_or_drawn(self.limits, self.rng, self._population, self.visited, self._excluded, self.candidate)
        members: list[Architecture] = []
        for operator, count in self._form.children.items() if self._parents else ():
            breed = Breeding(
                self.limits,
                self.rng,
                lambda: self.rng.choice(self._parents)[1],
                self._excluded,
                iter(range(ATTEMPTS_PER_CHILD * count)),
                crossover=None if operator == "mutation" else self._crossover,
                mutation=None if operator == "crossover" else self._mutation,
                fill=self._fill_up,
            ).child
            for _ in range(count):
                bred = breed()
                if bred is None:
                    break
                self.visited.add(bred)
                members.append(bred)
        return self._fill(members, self._form.generation)

    def _fill(self, members: list[Architecture], size: int) -> list[Architecture]:
        """Random architectures up to `size`, fewer where the space has no more."""
        return members + bred_or_drawn(self.limits, self.rng, size - len(members), self.visited, self._excluded)

"""Regularised evolution (Real et al. 2019): the oldest dies, not the worst.

A child is a mutant of the best of a few randomly drawn members of the population. It joins the population and the
oldest member leaves, so that nothing survives on one lucky evaluation.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Set
from functools import cache
from math import comb
from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.breeding import Breeding, bred_or_drawn, exactly_one, redraw, uniform
from search.strategies.filling import FillOptions, filling
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import DedupOptions, ProposalsOptions
from supernet import Architecture

ATTEMPTS = 500  # per child, as NNI's: then a random architecture takes its place

Member = tuple[float, int, Architecture]
"""(minus its score, its number in the order of birth, itself): the best, of equals the oldest, sorts first."""


@options("Regularized evolution")
class RegularizedEvolutionOptions(ProposalsOptions, DedupOptions, FillOptions):
    """Ageing evolution."""

    re_population: int = option(100, "members alive", at_least=1, at_most=10**5)
    re_sample: int = option(25, "members of a tournament", at_least=1, at_most=10**5)
    re_mutation_prob: float | None = option(
        None, "probability to change a decision; none: exactly one changes", above=0, at_most=1
    )
    re_mutations: float | None = option(
        None,
        "decisions that a child changes on average, each with the same probability (MF-NAS: 1); none: see "
        "--re-mutation-prob",
        above=0,
        at_most=10**5,
    )
    re_crossover: bool = option(False, "cross two winners decision by decision before the mutation")

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.re_mutations is not None and self.re_mutation_prob is not None:
            raise UserError("--re-mutations and --re-mutation-prob both say how much a child changes: give one of them")


class RegularizedEvolution(Generational):
    """Ageing evolution, one child at a time, or `proposals` of them from the same population."""

    Options = RegularizedEvolutionOptions
    random_start: ClassVar[str] = "re_population"

    def __init__(self, problem: Problem, options: RegularizedEvolutionOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._population, self._sample = options.re_population, options.re_sample
        self._at_once = options.proposals
        self._proposed = 0
        self._born = 0
        self._ranked: list[Member] = []
        self._oldest_first: deque[Member] = deque()
        self._excluded: Set[Architecture] = self.visited if options.dedup else frozenset()
        probability = options.re_mutation_prob
        if options.re_mutations is not None:
            probability = min(1.0, options.re_mutations / len(self.space.sizes))
        self._child = Breeding(
            self.limits,
            self.rng,
            self._winner,
            self._excluded,
            range(ATTEMPTS),
            crossover=uniform if options.re_crossover else None,
            mutation=exactly_one if probability is None else redraw(probability),
            changed=True,
            fill=filling(self.limits, self.rng, options.fill),
        ).child

    def learn(self, told: Told) -> None:
        """The children join, the oldest leave."""
        ranked, oldest_first = self._ranked, self._oldest_first
        for architecture, (score,) in told:
            member = (-score, self._born, architecture)
            self._born += 1
            insort(ranked, member)
            oldest_first.append(member)
            if len(oldest_first) > self._population:
                del ranked[bisect_left(ranked, oldest_first.popleft())]

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        members = self._oldest_first
        self._oldest_first = deque((-scores.get(a, (-worth,))[0], born, a) for worth, born, a in members)
        self._ranked = sorted(self._oldest_first)

    def propose(self) -> list[Architecture]:
        first = self._proposed < self._population
        wanted = self._population - self._proposed if first else self._at_once
        breed = self.candidate if first or not self._ranked else self._child
        made = bred_or_drawn(self.limits, self.rng, wanted, self.visited, self._excluded, breed)
        self._proposed += len(made)
        return made

    def _winner(self) -> Architecture:
        """The best of `re_sample` members drawn without replacement: its rank is drawn from its distribution."""
        ranked = self._ranked
        return ranked[bisect_left(winning_ranks(len(ranked), self._sample), self.rng.random())][2]


@cache
def winning_ranks(size: int, sample: int) -> list[float]:
    """P(the winner's rank <= r) for r = 0 (the best), 1, ...: 1 - C(size - r - 1, drawn) / C(size, drawn)."""
    drawn = min(sample, size)
    ways = comb(size, drawn)
    return [1 - comb(size - rank - 1, drawn) / ways for rank in range(size)]

"""Breeding: children of parents by crossover and mutation, within the limits and not met before.

Every evolutionary strategy breeds here; they differ in who becomes a parent, in the operators and in who survives.
"""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import partial
from random import Random

from lookup_tables.limits import Limits
from supernet import Architecture
from supernet.decisions import DecisionSpace

Crossover = Callable[[DecisionSpace, Architecture, Architecture, Random], Architecture]
Mutation = Callable[[DecisionSpace, Architecture, Random], Architecture]


def single_point(_space: DecisionSpace, first: Architecture, second: Architecture, rng: Random) -> Architecture:
    """The head of one parent and the tail of the other."""
    cut = rng.randrange(1, len(first)) if len(first) > 1 else 0
    return first[:cut] + second[cut:]


def two_point(_space: DecisionSpace, first: Architecture, second: Architecture, rng: Random) -> Architecture:
    """One parent, with the decisions between two cuts from the other."""
    low, high = sorted(rng.sample(range(len(first) + 1), 2))
    return first[:low] + second[low:high] + first[high:]


def uniform(space: DecisionSpace, first: Architecture, second: Architecture, rng: Random) -> Architecture:
    """Each decision from either parent with probability one half."""
    return space.crossover(first, second, rng)


CROSSOVERS: dict[str, Crossover] = {"single_point": single_point, "uniform": uniform}


def redraw(probability: float) -> Mutation:
    """Each decision changes to another option with this probability."""
    return partial(_redrawn, probability)


def _redrawn(probability: float, space: DecisionSpace, architecture: Architecture, rng: Random) -> Architecture:
    return space.mutate(architecture, rng, probability)


def one_on_average(space: DecisionSpace, architecture: Architecture, rng: Random) -> Architecture:
    """Each decision changes with such a probability that on average one does."""
    return space.mutate(architecture, rng, 1 / len(space.sizes))


def exactly_one(space: DecisionSpace, architecture: Architecture, rng: Random) -> Architecture:
    """One decision, drawn uniformly, changes to another option."""
    draw, sizes = rng.random, space.sizes
    decision = int(draw() * len(sizes))
    size = sizes[decision]
    option = (architecture[decision] + 1 + int(draw() * (size - 1))) % size
    return (*architecture[:decision], option, *architecture[decision + 1 :])


@dataclass
class Breeding:
    """Children of selected parents, one at a time.

    Attributes:
        limits: the space and its limits.
        rng: of every draw.
        select: gives a parent, the second one of a crossover too.
        excluded: what no child may be; it may grow.
        attempts: one for each child bred before `child` gives up; an iterator is shared by all calls.
        crossover: of two parents; None: a child has one.
        crossover_prob: how many of the children have two.
        mutation: what follows; None: nothing.
        changed: a child that is its (first) parent does not count.
        fill: what a child within the limits grows by; None: nothing.
    """

    limits: Limits
    rng: Random
    select: Callable[[], Architecture]
    excluded: Set[Architecture]
    attempts: Iterable[int]
    crossover: Crossover | None = None
    crossover_prob: float = 1.0
    mutation: Mutation | None = None
    changed: bool = False
    fill: Callable[[Architecture], Architecture] | None = None

    def child(self) -> Architecture | None:
        """The first one that is not excluded and within the limits; None if there was none in so many attempts."""
        space, rng, select, excluded = self.limits.space, self.rng, self.select, self.excluded
        crossover, mutation, changed, fill = self.crossover, self.mutation, self.changed, self.fill
        for _ in self.attempts:
            parent = bred = select()
            if crossover is not None and (self.crossover_prob >= 1 or rng.random() < self.crossover_prob):
                bred = crossover(space, parent, select(), rng)
            if mutation is not None:
                bred = mutation(space, bred, rng)
            bred = space.canonical(bred)
            within: bool | None = None
            if fill is not None and (within := self.limits.allows(bred)):
                bred = fill(bred)  # which stays within
            if bred in excluded or (changed and bred == parent):
                continue
            if self.limits.allows(bred) if within is None else within:
                return bred
        return None


def bred_or_drawn(
    limits: Limits,
    rng: Random,
    wanted: int,
    visited: set[Architecture],
    excluded: Set[Architecture],
    breed: Callable[[], Architecture | None] = lambda: None,
) -> list[Architecture]:
    """So many architectures, each a child or, where `breed` has none, drawn at random; fewer where there are no more.

    Each is entered into `visited` as soon as it is made. `excluded` is that same set where nothing is proposed twice.
    """
    made: list[Architecture] = []
    for _ in range(wanted):
        architecture = breed()
        if architecture is None:
            architecture = limits.sample(rng, excluded)
        if architecture is None:
            break
        visited.add(architecture)
        made.append(architecture)
    return made

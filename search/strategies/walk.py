"""The walk of an iterated local search over architectures that differ in one decision.

It is one generator with two drivers. It yields the architecture that it has to know next and reads scores where it is
given them: a strategy (`search.strategies.local_search`) proposes what is not known yet, and many searches of a table
of scores (`search.runs`) go on at once.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import permutations
from random import Random
from typing import Literal, TypeVar

from lookup_tables.limits import Limits
from supernet import Architecture

T = TypeVar("T")
Role = Literal["start", "middle", "optimum"]
"""What an architecture was in a walk: where it began or jumped to, where it moved on, where nothing was better."""

ESCAPE_TRIES = 100  # random pairs of decisions, before a random architecture becomes the start
LISTED = 6  # items of which all orders are listed
ESCAPES = 20  # without anything new on the way, before a random architecture becomes the start


class Neighbourhood:
    """The architectures within the limits that differ from one in a single decision; worked out once for each."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._around: dict[Architecture, list[list[Architecture]]] = {}
        self.decisions = [decision for decision, size in enumerate(limits.space.sizes) if size > 1]

    def of(self, architecture: Architecture) -> list[list[Architecture]]:
        """Canonical ones, for each of `decisions`; none of one that changes nothing."""
        found = self._around.get(architecture)
        if found is None:
            found = self._around[architecture] = [self._at(architecture, decision) for decision in self.decisions]
        return found

    def _at(self, architecture: Architecture, decision: int) -> list[Architecture]:
        before, own, after = architecture[:decision], architecture[decision], architecture[decision + 1 :]
        canonical, allows = self.limits.space.canonical, self.limits.allows
        others = [option for option in range(self.limits.space.sizes[decision]) if option != own]
        found = dict.fromkeys([canonical((*before, option, *after)) for option in others])
        return [neighbour for neighbour in found if neighbour != architecture and allows(neighbour)]

    def at_distance_two(self, architecture: Architecture, rng: Random) -> Architecture | None:
        """A random one that differs in two decisions; None where none was found."""
        sizes, space = self.limits.space.sizes, self.limits.space
        for _ in range(ESCAPE_TRIES if len(self.decisions) > 1 else 0):
            changed = list(architecture)
            for decision in rng.sample(self.decisions, 2):
                changed[decision] = (changed[decision] + rng.randrange(1, sizes[decision])) % sizes[decision]
            target = space.canonical(tuple(changed))
            if target != architecture and self.limits.allows(target):
                return target
        return None


@lru_cache(maxsize=1)
def neighbourhood(limits: Limits) -> Neighbourhood:
    """The neighbourhoods within limits; many walks within the same ones share them."""
    return Neighbourhood(limits)


class Walk:
    """An iterated local search in one of the forms of FORMS.

    At a local optimum it jumps to a random architecture two decisions away, whatever that is worth, and goes on; where
    that leads to nothing new for long, it begins elsewhere.

    Args:
        around: the neighbourhoods, which may be shared by many walks.
        rng: of every draw.
        form: a name in FORMS.
        score: of an architecture that was yielded, greater is better.
        start: gives an architecture to begin from; None ends the walk.

    Attributes:
        ahead: neighbours that it will ask for next as far as nothing better is met, the next one last.
        idle: jumps since something new was met; whoever drives it sets it back to 0.
        score: as given; another one counts from the next node on.
        roles: of the architectures that it stood on, in the order in which it did so first.
    """

    def __init__(
        self,
        around: Neighbourhood,
        rng: Random,
        form: str,
        score: Callable[[Architecture], float],
        start: Callable[[], Architecture | None],
    ) -> None:
        self._around, self._rng, self.score, self._start = around, rng, score, start
        self._improve = FORMS[form]
        self.ahead: list[Architecture] = []
        self.idle = 0
        self.roles: dict[Architecture, Role] = {}

    def steps(self) -> Generator[Architecture, None, None]:
        """Yield what has to be known next, again and again; end where there is no start any more."""
        node = self._start()
        while node is not None:
            self.ahead = []
            yield node
            self.roles[node] = "start"
            # 1. Improve until nothing around is better.
            while (better := (yield from self._improve(self, node))) is not None:
                node = better
            if self.roles[node] == "middle":
                self.roles[node] = "optimum"
            # 2. Escape: two decisions change, accepted whatever it is worth.
            self.idle += 1
            target = self._around.at_distance_two(node, self._rng) if self.idle <= ESCAPES else None
            node = self._start() if target is None else target

    def moved(self, node: Architecture) -> Architecture:
        """Note where the walk stands now; a start stays one."""
        if self.roles.get(node) != "start":
            self.roles[node] = "middle"
        return node

    def first(self, node: Architecture) -> Generator[Architecture, None, Architecture | None]:
        """First improvement (FLS): the first strictly better neighbour, decision by decision in a random order."""
        score, ahead = self.score, self._shuffled(node)
        self.ahead, worth = ahead, score(node)
        while ahead:
            yield ahead[-1]
            neighbour = ahead.pop()
            if score(neighbour) > worth:
                return self.moved(neighbour)
        return None

    def best(self, node: Architecture) -> Generator[Architecture, None, Architecture | None]:
        """Best improvement as published: the best of the whole neighbourhood, if it is strictly better."""
        around = self._shuffled(node)
        self.ahead = around.copy()
        while self.ahead:
            yield self.ahead[-1]
            self.ahead.pop()
        best = max(reversed(around), key=self.score, default=node)
        return self.moved(best) if self.score(best) > self.score(node) else None

    def sweep(self, node: Architecture) -> Generator[Architecture, None, Architecture | None]:
        """Best improvement as MF-NAS has coded it: it moves at once, and goes on with the remaining decisions."""
        better, around, score = None, self._around, self.score
        for position in shuffled(range(len(around.decisions)), self._rng):
            self.ahead = shuffled(around.of(node)[position], self._rng)
            while self.ahead:
                yield self.ahead[-1]
                neighbour = self.ahead.pop()
                if score(neighbour) > score(node):
                    better = node = self.moved(neighbour)
        return better

    def _shuffled(self, node: Architecture) -> list[Architecture]:
        """Its neighbours, those of one decision together, in a random order of both."""
        rng = self._rng
        by_decision = shuffled(self._around.of(node), rng)
        return [neighbour for options in by_decision for neighbour in shuffled(options, rng)]


def shuffled(items: Sequence[T], rng: Random) -> list[T]:
    """The same in a random order; of a few items one draw says which."""
    if len(items) > LISTED:
        return rng.sample(items, len(items))
    orders = orders_of(len(items))
    return [items[position] for position in orders[int(rng.random() * len(orders))]]


@cache
def orders_of(count: int) -> list[tuple[int, ...]]:
    """All orders of so many items."""
    return list(permutations(range(count)))


Improvement = Callable[[Walk, Architecture], Generator[Architecture, None, Architecture | None]]

FORMS: Mapping[str, Improvement] = {"first": Walk.first, "best": Walk.best, "coded": Walk.sweep}
"""From a node to a better one, None where there is none."""

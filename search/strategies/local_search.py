"""Local search over the networks that differ in one decision (White et al. 2020; the escape of MF-NAS, Phan 2024).

From a random start it moves to a better neighbour: to the first one found, in a random order, or to the best of all.
At a local optimum it jumps to a random architecture two decisions away, whatever that is worth, and goes on.
"""

from collections.abc import Mapping
from math import inf

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import ProposalsOptions
from supernet import Architecture

ESCAPE_TRIES = 100  # random pairs of decisions, before a random architecture becomes the start
ESCAPES = 20  # without anything new on the way, before a random architecture becomes the start


@options("Local search")
class LocalSearchOptions(ProposalsOptions):
    """Local search over networks that differ in one decision."""

    ls_improvement: str = option(
        "first", "move to the first better neighbour, or to the best of all", choices=("first", "best")
    )


class LocalSearch(Generational):
    """First- or best-improvement local search; no architecture is proposed twice, what is known is remembered.

    First improvement proposes `proposals` neighbours at once, best improvement all of them.
    """

    Options = LocalSearchOptions

    def __init__(self, problem: Problem, options: LocalSearchOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._best, self._at_once = options.ls_improvement == "best", options.proposals
        self._scores: dict[Architecture, float] = {}
        self._current: Architecture | None = None
        self._neighbours: list[Architecture] | None = None  # of the current one, still to be looked at
        self._escapes = 0  # since something new was proposed
        self._around: dict[Architecture, list[Architecture]] = {}  # worked out once: optima are met again and again

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, score) for architecture, (score,) in told)

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((member, scores[member][0]) for member in self._scores if member in scores)

    def propose(self) -> list[Architecture]:
        """Walk over what is known until something is met that is not."""
        while True:
            if self._current is None:
                self._move(self.limits.sample(self.rng, self.visited))
                if self._current is None:
                    return []
            if self._current not in self.visited:
                self._escapes = 0
                return [self._current]
            if self._neighbours is None:
                self._neighbours = self._feasible_neighbours(self._current)
            unknown = self._look()
            if unknown:
                self._escapes = 0
                return unknown

    def _score(self, architecture: Architecture) -> float:
        """Of what was proposed; a failed evaluation is worse than anything."""
        return self._scores.get(architecture, -inf)

    def _look(self) -> list[Architecture]:
        """Move, or the neighbours that have to be evaluated first."""
        assert self._current is not None
        assert self._neighbours is not None
        if self._best:
            unknown = [neighbour for neighbour in self._neighbours if neighbour not in self.visited]
            if unknown:
                return unknown
            self._neighbours = sorted(self._neighbours, key=self._score, reverse=True)[:1]
        while self._neighbours:
            if self._neighbours[0] not in self.visited:
                unknown = [neighbour for neighbour in self._neighbours if neighbour not in self.visited]
                return unknown[: self._at_once]
            neighbour = self._neighbours.pop(0)
            if self._score(neighbour) > self._score(self._current):
                self._move(neighbour)
                return []
        self._escape(self._current)
        return []

    def _move(self, architecture: Architecture | None) -> None:
        self._current = architecture
        self._neighbours = None

    def _feasible_neighbours(self, architecture: Architecture) -> list[Architecture]:
        """In a random order."""
        space = self.space
        if architecture not in self._around:
            canonical = dict.fromkeys(map(space.canonical, space.neighbours(architecture)))
            canonical.pop(architecture, None)
            self._around[architecture] = [a for a in canonical if self.limits.allows(a)]
        found = list(self._around[architecture])
        self.rng.shuffle(found)
        return found

    def _escape(self, current: Architecture) -> None:
        """To a random architecture within the limits that differs in two decisions, or else anywhere."""
        self._escapes += 1
        sizes, rng = self.space.sizes, self.rng
        open_decisions = [decision for decision, size in enumerate(sizes) if size > 1]
        if self._escapes <= ESCAPES and len(open_decisions) > 1:
            for _ in range(ESCAPE_TRIES):
                changed = list(current)
                for decision in rng.sample(open_decisions, 2):
                    changed[decision] = (changed[decision] + rng.randrange(1, sizes[decision])) % sizes[decision]
                target = self.space.canonical(tuple(changed))
                if target != current and self.limits.allows(target):
                    self._move(target)
                    return
        self._move(None)

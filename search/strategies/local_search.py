"""Iterated local search over the networks that differ in one decision (White et al. 2020; MF-NAS, Phan and Luong 2024).

First improvement (FLS) moves to the first better neighbour, in a random order. Best improvement (BLS) moves to the best
of all neighbours; what MF-NAS has coded under that name moves at once and goes on with the remaining decisions. At a
local optimum all of them jump to a random architecture two decisions away, whatever that is worth, and go on.
"""

from collections.abc import Mapping
from math import inf
from sys import maxsize

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import ProposalsOptions
from search.strategies.walk import FORMS, Role, Walk, neighbourhood
from supernet import Architecture


@options("Local search")
class LocalSearchOptions(ProposalsOptions):
    """Local search over networks that differ in one decision."""

    ls_improvement: str = option(
        "first",
        "move to the first better neighbour (FLS), to the best of all (BLS), or to each better one at once, decision "
        "by decision (BLS as MF-NAS has coded it)",
        choices=tuple(FORMS),
        aliases={"FLS": "first", "BLS": "best"},
    )
    ls_looks: int | None = option(
        None,
        "the walk ends after so many looks at architectures, those that it knows already included, which MF-NAS counts "
        "as evaluations; none: the budget ends it",
        at_least=1,
        at_most=10**8,
    )


class LocalSearch(Generational):
    """Iterated local search; no architecture is proposed twice, what is known is remembered.

    First improvement proposes `proposals` neighbours at once, best improvement all of them.
    """

    Options = LocalSearchOptions

    def __init__(self, problem: Problem, options: LocalSearchOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._at_once = None if options.ls_improvement == "best" else options.proposals
        self._looks = options.ls_looks or maxsize
        self._scores: dict[Architecture, float] = {}
        self._walk = Walk(neighbourhood(self.limits), self.rng, options.ls_improvement, self._score, self._start)
        self._steps = self._walk.steps()
        self._next: Architecture | None = None

    @property
    def roles(self) -> Mapping[Architecture, Role]:
        """The roles of the architectures that the walk stood on, in the order in which it did so first."""
        return self._walk.roles

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, score) for architecture, (score,) in told)

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((member, scores[member][0]) for member in self._scores if member in scores)

    def propose(self) -> list[Architecture]:
        """Walk over what is known until something is met that is not."""
        while self._next is None or self._next in self.visited:
            if self._looks <= 0:
                return []
            self._looks -= 1
            self._next = next(self._steps, None)
            if self._next is None:
                return []
        self._walk.idle = 0
        coming = self._walk.ahead[::-1][: self._looks + 1]
        unknown = [neighbour for neighbour in coming if neighbour not in self.visited]
        return list(dict.fromkeys(unknown))[: self._at_once] or [self._next]

    @property
    def alone(self) -> bool:
        """True where it proposes what it would look up: not several neighbours from the same knowledge."""
        return self._at_once in (1, None)

    def look_up(self, scores: Mapping[Architecture, float], evaluations: int) -> list[Architecture]:
        """Walk over a table of scores at once; returns what would be proposed if these were told, in that order.

        Only where it is `alone`. Where there is no number the score is minus infinity.
        """
        walk, known, looks = self._walk, self.visited, self._looks
        walk.score = scores.__getitem__
        found: list[Architecture] = []
        for architecture in self._steps:
            looks -= 1
            if architecture not in known:
                known.add(architecture)
                found.append(architecture)
                walk.idle = 0
            if looks <= 0 or len(found) == evaluations:
                break
        self._looks = looks
        return found

    def _score(self, architecture: Architecture) -> float:
        """Of what was proposed; a failed evaluation is worse than anything."""
        return self._scores.get(architecture, -inf)

    def _start(self) -> Architecture | None:
        """A candidate of the first stage or a random architecture that is new; None where there is none left."""
        candidate = self.candidate()
        return self.limits.sample(self.rng, self.visited) if candidate is None else candidate

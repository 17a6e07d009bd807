"""Local search over the networks that differ in one decision (White et al. 2020; the escape of MF-NAS, Phan 2024).

From a random start it moves to a better neighbour: to the first one found, in a random order, or to the best of all.
At a local optimum it jumps to a random architecture two decisions away, whatever that is worth, and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan
from random import Random
from typing import Any

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Told
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture

IMPROVEMENTS = {"first": "to the first better neighbour", "best": "to the best neighbour"}
ESCAPE_TRIES = 100  # random pairs of decisions, before a random architecture becomes the start
ESCAPES = 20  # without anything new on the way, before a random architecture becomes the start


@options("Local search")
class LocalSearchOptions:
    """Local search over networks that differ in one decision."""

    ls_improvement: str = option(
        "first",
        "move to the first better neighbour, or to the best of all",
        choices=("first", "best"),
    )


class LocalSearch:
    """First- or best-improvement local search; no architecture is proposed twice, what is known is remembered.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        evaluations: proposals in all.
        improvement: a name in IMPROVEMENTS.
        proposals: first improvement: neighbours proposed at once. Best improvement proposes all of them.
        objective: what is optimised.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        evaluations: int = 1000,
        improvement: str = "first",
        proposals: int = 1,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        choose("improvement", improvement, IMPROVEMENTS)
        self.constraint = constraint
        self.budget = evaluations
        self.improvement = improvement
        self.proposals = proposals
        self.objective = objective
        self._rng = Random(seed)
        self._generation = Generation()
        self._known: dict[Architecture, float] = {}
        self._current: Architecture | None = None
        self._neighbours: list[Architecture] | None = None  # of the current one, still to be looked at
        self._escapes = 0  # since something new was proposed
        self._around: dict[Architecture, list[Architecture]] = {}  # worked out once: optima are met again and again

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the neighbours that are out; the next ones follow when these were told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, (self.objective.score(result),))

    def state_dict(self) -> dict[str, Any]:
        neighbours = self._neighbours
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "known": [[list(a), None if score == -inf else score] for a, score in self._known.items()],
            "current": None if self._current is None else list(self._current),
            "neighbours": None if neighbours is None else [list(architecture) for architecture in neighbours],
            "escapes": self._escapes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._known = {tuple(a): -inf if score is None else score for a, score in state["known"]}
        self._current = None if state["current"] is None else tuple(state["current"])
        neighbours = state["neighbours"]
        self._neighbours = None if neighbours is None else [tuple(architecture) for architecture in neighbours]
        self._escapes = state["escapes"]

    def _learn(self, told: Told) -> None:
        """A failed evaluation (NaN) is worse than anything."""
        self._known.update((architecture, -inf if isnan(score) else score) for architecture, (score,) in told)

    def _propose(self) -> list[Architecture]:
        """Walk over what is known until something is met that is not."""
        left = self.budget - len(self._known)
        while left > 0:
            if self._current is None:
                self._move(self.constraint.sample(self._rng, self._known))
                if self._current is None:
                    return []
            if self._current not in self._known:
                self._escapes = 0
                return [self._current]
            if self._neighbours is None:
                self._neighbours = self._feasible_neighbours(self._current)
            unknown = self._look()
            if unknown:
                self._escapes = 0
                return unknown[:left]
        return []

    def _look(self) -> list[Architecture]:
        """Move, or the neighbours that have to be evaluated first."""
        assert self._current is not None
        assert self._neighbours is not None
        score = self._known[self._current]
        if self.improvement == "best":
            unknown = [neighbour for neighbour in self._neighbours if neighbour not in self._known]
            if unknown:
                return unknown
            self._neighbours = sorted(self._neighbours, key=lambda neighbour: -self._known[neighbour])[:1]
        while self._neighbours:
            if self._neighbours[0] not in self._known:
                unknown = [neighbour for neighbour in self._neighbours if neighbour not in self._known]
                return unknown[: self.proposals]
            neighbour = self._neighbours.pop(0)
            if self._known[neighbour] > score:
                self._move(neighbour)
                return []
        self._escape()
        return []

    def _move(self, architecture: Architecture | None) -> None:
        self._current = architecture
        self._neighbours = None

    def _feasible_neighbours(self, architecture: Architecture) -> list[Architecture]:
        """In a random order."""
        space = self.constraint.space
        if architecture not in self._around:
            canonical = dict.fromkeys(map(space.canonical, space.neighbours(architecture)))
            canonical.pop(architecture, None)
            self._around[architecture] = [a for a in canonical if self.constraint.allows(a)]
        found = list(self._around[architecture])
        self._rng.shuffle(found)
        return found

    def _escape(self) -> None:
        """To a random architecture within the limits that differs in two decisions, or else anywhere."""
        self._escapes += 1
        space, rng, current = self.constraint.space, self._rng, self._current
        assert current is not None
        open_decisions = [decision for decision, size in enumerate(space.sizes) if size > 1]
        if self._escapes <= ESCAPES and len(open_decisions) > 1:
            for _ in range(ESCAPE_TRIES):
                changed = list(current)
                for decision in rng.sample(open_decisions, 2):
                    changed[decision] = (changed[decision] + rng.randrange(1, space.sizes[decision])) % (
                        space.sizes[decision]
                    )
                target = space.canonical(tuple(changed))
                if target != current and self.constraint.allows(target):
                    self._move(target)
                    return
        self._move(None)

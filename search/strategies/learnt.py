"""What a differentiable search learnt, as a strategy: the architecture it derives, then draws from its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from search.constraints import Constraint
from search.result import Result
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture
from supernet.derivation import Limit, derive_within
from training.architecture_file import Distribution

TRIES = 200  # draws per sample asked for, before the strategy has seen all that is likely within the limits


class LearntDistribution:
    """The derived architecture first, then samples without repetition; all within the limits.

    Args:
        constraint: the space and its cost limits.
        distribution: what was learnt.
        samples: draws beside the derived architecture; fewer where the distribution has no more within the limits.
        limits: further costs that the derived architecture and the samples must keep to.
        seed: of the draws.

    Raises:
        UserError: nothing is within all limits.
    """

    def __init__(
        self,
        constraint: Constraint,
        distribution: Distribution,
        *,
        samples: int,
        limits: Sequence[Limit] = (),
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.distribution = distribution
        self.budget = samples + 1
        self._limits = list(limits)
        self._rng = Random(seed)
        self._visited: set[Architecture] = set()
        self._ended = False
        self.derived = self._derive()

    def _derive(self) -> Architecture:
        """What the training derived, or the most probable one within the limits, exactly, where that is not."""
        space, table = self.constraint.space, self.constraint.table
        derived = self.distribution.derived
        if self.constraint.allows(derived) and self._keeps(derived):
            return space.canonical(derived)
        limits = list(self._limits)
        if table is not None:
            limits.append(Limit(table.metric, table.factors, self.constraint.upper))
            if self.constraint.lower > -np.inf:
                negated = [(scope, -values) for scope, values in table.factors]
                limits.append(Limit(f"-{table.metric}", negated, -self.constraint.lower))
        return space.canonical(derive_within(space.sizes, self.distribution.log_probabilities, limits))

    def ask(self, n: int) -> list[Architecture]:
        proposals: list[Architecture] = []
        if not self._visited:
            self._visited.add(self.derived)
            proposals.append(self.derived)
        while len(proposals) < n and len(self._visited) < self.budget and not self._ended:
            drawn = self._draw()
            if drawn is None:
                self._ended = True
            else:
                self._visited.add(drawn)
                proposals.append(drawn)
        return proposals

    def _draw(self) -> Architecture | None:
        generator = np.random.default_rng(self._rng.getrandbits(64))
        for _ in range(TRIES):
            drawn = self.constraint.space.canonical(self.distribution.sample(generator))
            if drawn not in self._visited and self.constraint.allows(drawn) and self._keeps(drawn):
                return drawn
        return None

    def _keeps(self, architecture: Architecture) -> bool:
        for limit in self._limits:
            cost = sum(table[tuple(architecture[d] for d in scope)] for scope, table in limit.factors)
            if not cost <= limit.upper:
                return False
        return True

    def tell(self, results: Sequence[Result]) -> None:
        """Nothing is learnt any more."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "visited": sorted(map(list, self._visited)),
            "ended": self._ended,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._visited = {tuple(architecture) for architecture in state["visited"]}
        self._ended = state["ended"]

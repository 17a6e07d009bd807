"""What a differentiable search learnt, as a strategy: the architecture it derives, then draws from its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from lookup_tables.limits import Limits
from search.result import Result
from search.strategies.limited_draws import LimitedDraws, within
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture
from supernet.derivation import derive_within
from training.differentiable_search.distribution_file import Distribution

TRIES = 1000  # draws per sample, most rejected where limits are tight, after which no other is likely within the limits


class LearntDistribution:
    """The derived architecture first, then samples without repetition; all within the limits.

    Args:
        constraint: the space and its cost limits.
        distribution: what was learnt.
        samples: draws beside the derived architecture; fewer where the distribution has no more within the limits.
        seed: of the draws.

    Raises:
        UserError: nothing is within all limits.
    """

    def __init__(
        self,
        constraint: Limits,
        distribution: Distribution,
        *,
        samples: int,
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.distribution = distribution
        self.budget = samples + 1
        self._limits = constraint.bounds()
        self._draws = LimitedDraws(distribution.log_probabilities, self._limits)
        self._rng = Random(seed)
        self._visited: set[Architecture] = set()
        self._ended = False
        self.derived = self._derive()

    def _derive(self) -> Architecture:
        """What the training derived, or the most probable one within the limits, exactly, where that is not."""
        space, derived = self.constraint.space, self.distribution.derived
        if self._allowed(derived):
            return space.canonical(derived)
        return space.canonical(derive_within(space.sizes, self.distribution.log_probabilities, self._limits))

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
            drawn = self._draws(generator)
            if drawn is None:
                continue
            canonical = self.constraint.space.canonical(drawn)
            if canonical not in self._visited and self._allowed(canonical):
                return canonical
        return None

    def _allowed(self, architecture: Architecture) -> bool:
        return self.constraint.allows(architecture) and within(self._limits, architecture)

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

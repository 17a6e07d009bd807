"""Random search: uniformly drawn architectures within the cost limits (Li and Talwalkar 2019 make it the baseline)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from lookup_tables.limits import Limits
from search.result import Result
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture


class RandomSearch:
    """`iterations` architectures, without replacement if `dedup`; stops early where the space is exhausted."""

    def __init__(self, constraint: Limits, *, iterations: int = 1000, dedup: bool = True, seed: int = 0) -> None:
        self.constraint = constraint
        self.budget = iterations
        self.dedup = dedup
        self._rng = Random(seed)
        self._proposed = 0
        self._visited: set[Architecture] = set()

    def ask(self, n: int) -> list[Architecture]:
        proposals: list[Architecture] = []
        while len(proposals) < n and self._proposed < self.budget:
            architecture = self.constraint.sample(self._rng, self._visited if self.dedup else frozenset())
            if architecture is None:
                break
            self._visited.add(architecture)
            self._proposed += 1
            proposals.append(architecture)
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        """Random search learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "proposed": self._proposed,
            "visited": sorted(map(list, self._visited)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._proposed = state["proposed"]
        self._visited = {tuple(architecture) for architecture in state["visited"]}

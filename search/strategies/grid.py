"""Grid search: every architecture within the limits once, lazily, in a space of any size.

The grid is walked as a tree, one decision per level. A subtree is left out as soon as its cheapest network costs too
much, its dearest too little, or a decision made in it cannot matter any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookup_tables.limits import Limits
from search.result import Result
from supernet import Architecture

Level = list[tuple[tuple[int, ...], NDArray[Any]]]
"""Tables over decisions that are made at this depth of the tree."""


class GridSearch:
    """All canonical architectures within the limits, up to `evaluations` of them.

    Args:
        constraint: the space and its cost limits.
        evaluations: proposals in all, at most; None: the whole space.
        shuffle: walk the options of every decision in a random order instead of their own; it spreads nothing, but
            starts elsewhere for every seed.
        seed: of that order.
    """

    def __init__(
        self, constraint: Limits, *, evaluations: int | None = 1000, shuffle: bool = False, seed: int = 0
    ) -> None:
        self.constraint = constraint
        self.budget = evaluations
        rng = Random(seed)
        self._orders = [rng.sample(range(size), size) if shuffle else list(range(size)) for size in self._sizes]
        self._proposed = 0
        self._last: Architecture | None = None
        self._walk: Iterator[Architecture] | None = None
        first = constraint.first
        factors = [] if first is None else [(scope, np.asarray(values)) for scope, values in first.table.factors]
        depths = range(len(self._sizes) + 1)
        self._least = [_reduced(factors, depth, np.min) for depth in depths]
        self._most = [_reduced(factors, depth, np.max) for depth in depths]
        self._acts = self._possible_actions()

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.constraint.space.sizes

    def ask(self, n: int) -> list[Architecture]:
        if self._walk is None:
            self._walk = self._after(self._last)
        proposals: list[Architecture] = []
        while len(proposals) < n and (self.budget is None or self._proposed < self.budget):
            architecture = next(self._walk, None)
            if architecture is None:
                break
            self._proposed += 1
            self._last = architecture
            proposals.append(architecture)
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        """A grid learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "proposed": self._proposed,
            "last": None if self._last is None else list(self._last),
            "orders": self._orders,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._proposed = state["proposed"]
        self._last = None if state["last"] is None else tuple(state["last"])
        self._orders = [list(order) for order in state["orders"]]
        self._walk = None

    def _after(self, last: Architecture | None) -> Iterator[Architecture]:
        """Depth first; what comes before and at `last` is skipped."""
        space, orders, depth = self.constraint.space, self._orders, len(self._sizes)
        if last is None:
            chosen, positions = [], [0]
        else:
            chosen = list(last)
            positions = [order.index(option) for order, option in zip(orders, last, strict=True)]
            chosen.pop()
            positions[-1] += 1
        while positions:
            level = len(positions) - 1
            if positions[-1] == len(orders[level]):
                positions.pop()
                if positions:
                    chosen.pop()
                    positions[-1] += 1
                continue
            chosen.append(orders[level][positions[-1]])
            if self._worth(chosen):
                if level + 1 < depth:
                    positions.append(0)
                    continue
                architecture = tuple(chosen)
                if space.canonical(architecture) == architecture and self.constraint.allows(architecture):
                    yield architecture
            chosen.pop()
            positions[-1] += 1

    def _worth(self, chosen: list[int]) -> bool:
        """Whether anything below can be canonical and within the limits; a little more where costs are not exact."""
        made = len(chosen)
        for decision, gates in self._acts[made]:
            if chosen[decision] and not any(acts[tuple(chosen[d] for d in scope)] for scope, acts in gates):
                return False
        limit = self.constraint.first
        if limit is None:
            return True
        least = sum(float(table[tuple(chosen[d] for d in scope)]) for scope, table in self._least[made])
        most = sum(float(table[tuple(chosen[d] for d in scope)]) for scope, table in self._most[made])
        slack = 1e-9 * abs(most)  # the order of additions changes the last bits
        return least - slack <= limit.upper and most + slack >= limit.lower

    def _possible_actions(self) -> list[list[tuple[int, Level]]]:
        """By depth, for every decision made that may not matter: where it still can."""
        conditional = self.constraint.space.conditional
        return [
            [
                (decision, _reduced([factor for _, factor in gates], depth, np.any))
                for decision, gates in conditional.items()
                if decision < depth
            ]
            for depth in range(len(self._sizes) + 1)
        ]


def _reduced(factors: Sequence[tuple[tuple[int, ...], NDArray[Any]]], depth: int, reduce: Any) -> Level:
    """The tables over the first `depth` decisions, with the best that the others can do."""
    level: Level = []
    for scope, table in factors:
        later = tuple(axis for axis, decision in enumerate(scope) if decision >= depth)
        level.append((tuple(decision for decision in scope if decision < depth), reduce(table, axis=later)))
    return level

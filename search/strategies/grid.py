"""Grid search: every architecture within the limits once, lazily, in a space of any size.

The grid is walked as a tree, one decision per level. A subtree is left out as soon as its cheapest network costs too
much, its dearest too little, or a decision made in it cannot matter any more.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.result import Result
from supernet import Architecture

Level = list[tuple[tuple[int, ...], NDArray[Any]]]
"""Tables over decisions that are made at this depth of the tree."""


@options("Strategy")
class GridOptions:
    """The order of the grid."""

    grid_shuffle: bool = option(False, "grid walks the options of every decision in a random order")


class GridSearch:
    """All canonical architectures within the limits, in the order of their indices.

    With `grid_shuffle` the options of every decision are walked in a random order: it spreads nothing, but starts
    elsewhere for every seed.
    """

    Options = GridOptions
    front: ClassVar[bool] = False
    takes_candidates: ClassVar[bool] = False
    size: int | None = None

    def __init__(self, problem: Problem, options: GridOptions, seed: int) -> None:
        self._space, self._limits = problem.space, problem.limits
        rng, sizes = Random(seed), problem.space.sizes
        shuffle = options.grid_shuffle
        self._orders = [rng.sample(range(size), size) if shuffle else list(range(size)) for size in sizes]
        first = self._limits.first
        factors = [] if first is None else [(scope, np.asarray(values)) for scope, values in first.table.factors]
        depths = range(len(sizes) + 1)
        # What a subtree costs at least and at most, as tables over the decisions that are made.
        self._least = [_reduced(factors, depth, np.min) for depth in depths]
        self._most = [_reduced(factors, depth, np.max) for depth in depths]
        self._acts = self._possible_actions()
        self._walk = self._below([])

    def ask(self, n: int) -> list[Architecture]:
        return list(islice(self._walk, n))

    def tell(self, results: Sequence[Result]) -> None:
        """A grid learns nothing."""

    retell = tell

    def _below(self, chosen: list[int]) -> Iterator[Architecture]:
        """Depth first: what begins with these decisions."""
        if len(chosen) == len(self._orders):
            architecture = tuple(chosen)
            if self._space.canonical(architecture) == architecture and self._limits.allows(architecture):
                yield architecture
            return
        for choice in self._orders[len(chosen)]:
            if self._worth([*chosen, choice]):
                yield from self._below([*chosen, choice])

    def _worth(self, chosen: list[int]) -> bool:
        """True if anything below can be canonical and within the limits; a little more where costs are not exact."""
        made = len(chosen)
        for decision, gates in self._acts[made]:
            if chosen[decision] and not any(acts[tuple(chosen[d] for d in scope)] for scope, acts in gates):
                return False
        limit = self._limits.first
        if limit is None:
            return True
        least = sum(float(table[tuple(chosen[d] for d in scope)]) for scope, table in self._least[made])
        most = sum(float(table[tuple(chosen[d] for d in scope)]) for scope, table in self._most[made])
        slack = 1e-9 * abs(most)  # the order of additions changes the last bits
        return least - slack <= limit.upper and most + slack >= limit.lower

    def _possible_actions(self) -> list[list[tuple[int, Level]]]:
        """By depth, for every decision made that may not matter: where it still can."""
        conditional = self._space.conditional
        return [
            [
                (decision, _reduced([factor for _, factor in gates], depth, np.any))
                for decision, gates in conditional.items()
                if decision < depth
            ]
            for depth in range(len(self._orders) + 1)
        ]


def _reduced(factors: Sequence[tuple[tuple[int, ...], NDArray[Any]]], depth: int, reduce: Any) -> Level:
    """The tables over the first `depth` decisions, with the best that the others can do."""
    level: Level = []
    for scope, table in factors:
        later = tuple(axis for axis, decision in enumerate(scope) if decision >= depth)
        level.append((tuple(decision for decision in scope if decision < depth), reduce(table, axis=later)))
    return level

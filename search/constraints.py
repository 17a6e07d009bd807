"""Cost limits of a search: whether they can be met at all, and architectures that meet them.

Both are known from the lookup table before anything is evaluated. Architectures are drawn uniformly from those within
the limits, however tight they are (`lookup_tables.distribution`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import product
from random import Random

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from lookup_tables import CostTable
from supernet import Architecture, SearchSpace

ENUMERABLE = 1 << 16  # encodings: below this the space is listed
DUPLICATE_TRIES = 64
IN_MILLIONS = ("flops", "params")  # the metrics whose flags count millions


class Constraint:
    """The architectures of `space` with `lower <= cost <= upper`, cost in the table's raw unit.

    Without a table every architecture is within the limits.
    """

    def __init__(
        self, space: SearchSpace, table: CostTable | None = None, *, upper: float = math.inf, lower: float = -math.inf
    ) -> None:
        self.space = space
        self.table = table
        self.upper = upper
        self.lower = lower

    def cost(self, architectures: Sequence[Architecture] | NDArray[np.integer]) -> NDArray[np.float64]:
        """(N, D) indices -> (N,) costs; zeros without a table."""
        if self.table is None:
            return np.zeros(len(architectures))
        return self.table.cost(np.asarray(architectures))

    def allows(self, architecture: Architecture) -> bool:
        return self.table is None or bool(self._inside(np.asarray([architecture]))[0])

    def check(self, flag: str = "--target-hc", lower_flag: str = "--min-hc") -> None:
        """Raises UserError, with the exact range of the space, where no architecture can be within the limits."""
        if self.table is None:
            return
        minimum, maximum = self.table.minimum()[0], self.table.maximum()[0]
        metric = self.table.metric
        span = f"{self.space.name} has {metric} from {number(minimum, metric)} to {number(maximum, metric)}"
        if math.isnan(self.upper) or math.isnan(self.lower):
            raise UserError(f"{flag} and {lower_flag} must be numbers; {span}")
        if self.upper < minimum:
            raise UserError(f"{flag}: no architecture has {metric} of {number(self.upper, metric)} or less; {span}")
        if self.lower > maximum:
            raise UserError(f"{lower_flag}: no architecture has {metric} of {number(self.lower, metric)}; {span}")
        if self.lower > self.upper:
            raise UserError(f"{lower_flag} is above {flag}: nothing lies between them; {span}")

    @cached_property
    def acceptance(self) -> float:
        """Share of all encodings within the limits: exact in a small space, else counted up to rounding."""
        if self.table is None or self._unlimited:
            return 1.0
        if self.space.size <= ENUMERABLE:
            return len(self._listed) / self.space.size
        return self.table.distribution.share(self.lower, self.upper)

    def sample(self, rng: Random, exclude: Collection[Architecture] = frozenset()) -> Architecture | None:
        """A canonical architecture within the limits and not in `exclude`; None if there is none, or none was found.

        Encodings are drawn uniformly from all that are within the limits.
        """
        for _ in range(DUPLICATE_TRIES):
            drawn = self._draw(rng)
            if drawn is None:
                return None
            drawn = self.space.canonical(drawn)
            if drawn not in exclude:
                return drawn
        if self.space.size > ENUMERABLE:
            return None
        left = [architecture for architecture in self._listed_canonical if architecture not in exclude]
        return rng.choice(left) if left else None

    def _inside(self, architectures: NDArray[np.integer]) -> NDArray[np.bool_]:
        cost = self.cost(architectures)
        return (cost >= self.lower) & (cost <= self.upper)

    def _draw(self, rng: Random) -> Architecture | None:
        if self.table is None or self._unlimited:
            return self.space.sample(rng)
        if self.space.size <= ENUMERABLE:
            return as_architecture(rng.choice(self._listed)) if len(self._listed) else None
        # random.Random carries the state (it is JSON-able); numpy does the work.
        generator = np.random.default_rng(rng.getrandbits(64))
        try:
            return as_architecture(self.table.distribution.sample(self.lower, self.upper, 1, generator)[0])
        except UserError:
            return None

    @cached_property
    def _unlimited(self) -> bool:
        """Whether the limits exclude nothing."""
        return self.table is None or (self.lower <= self.table.minimum()[0] and self.upper >= self.table.maximum()[0])

    @cached_property
    def _listed(self) -> NDArray[np.integer]:
        every = np.asarray(list(product(*map(range, self.space.sizes))))
        return every[self._inside(every)]

    @cached_property
    def _listed_canonical(self) -> list[Architecture]:
        return sorted({self.space.canonical(as_architecture(row)) for row in self._listed})


def as_architecture(row: NDArray[np.integer]) -> Architecture:
    """(D,) array -> tuple of plain ints."""
    return tuple(int(option) for option in row)


def number(value: float, metric: str) -> str:
    """A cost as a person reads it: the exact count, and millions where the flags are in millions."""
    if metric in IN_MILLIONS:
        return f"{value:,.0f} ({value / 1e6:.4g} M)"
    return f"{value:,.4f}"

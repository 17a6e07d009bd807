"""Cost limits of a search: whether they can be met at all, and architectures that meet them.

Both are known from the lookup table before anything is evaluated. Drawing an architecture within the limits takes a
bounded number of tries, however tight they are.
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

ENUMERABLE = 1 << 16  # encodings: below this the space is listed rather than sampled when sampling becomes hard
PROBES = 1 << 16  # random architectures that measure how much of the space is within the limits
RARE = 1e-4  # below this share, rejection gives way to repair
DUPLICATE_TRIES = 64
IN_MILLIONS = ("flops", "params")  # the metrics whose flags count millions
REPAIR_TRIES = 64
WALK_STEPS = 20  # per decision, before a repaired architecture is handed out


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
        return bool(self._inside(np.asarray([architecture]))[0])

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
        """Share of random encodings within the limits, estimated on a fixed sample (exact in a small space)."""
        if self.table is None or (self.lower == -math.inf and self.upper == math.inf):
            return 1.0
        if self.space.size <= ENUMERABLE:
            return len(self._listed) / self.space.size
        probes = np.random.default_rng(0).integers(0, self.space.sizes, (PROBES, len(self.space.sizes)))
        return float(self._inside(probes).mean())

    def sample(self, rng: Random, exclude: Collection[Architecture] = frozenset()) -> Architecture | None:
        """A canonical architecture within the limits and not in `exclude`; None if there is none, or none was found.

        Encodings are drawn uniformly where more than 1 in 10,000 is within the limits, or the space is small enough to
        be listed. Elsewhere a random walk within the limits is begun near the cheapest architecture: it tends to the
        uniform distribution, but after a bounded number of steps may still favour where it began.
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
        if self.acceptance == 1.0:
            return self.space.sample(rng)
        if self.acceptance >= RARE:
            # random.Random carries the state (it is JSON-able); numpy does the work.
            generator = np.random.default_rng(rng.getrandbits(64))
            batch = math.ceil(2 / self.acceptance)
            for _ in range(16):
                candidates = generator.integers(0, self.space.sizes, (batch, len(self.space.sizes)))
                inside = np.flatnonzero(self._inside(candidates))
                if len(inside):
                    return as_architecture(candidates[inside[0]])
        if self.space.size <= ENUMERABLE:
            return as_architecture(rng.choice(self._listed)) if len(self._listed) else None
        start = self._repair(rng)
        return None if start is None else self._walk(start, rng)

    def _repair(self, rng: Random) -> Architecture | None:
        """From the cheapest architecture towards a random one, decision by decision, never above the upper limit.

        Then, while below the lower limit, along changes of one decision that bring the cost nearer.
        """
        assert self.table is not None
        cheapest = self.table.minimum()[1]
        for _ in range(REPAIR_TRIES):
            goal = self.space.sample(rng)
            here = np.asarray(cheapest)
            for decision in rng.sample(range(len(goal)), len(goal)):
                there = here.copy()
                there[decision] = goal[decision]
                if self.cost(there[None])[0] <= self.upper:
                    here = there
            for _ in range(2 * len(goal)):
                gap = self._gap(here[None])[0]
                if gap == 0:
                    return as_architecture(here)
                changed = self._changes_of_one(here)
                nearer = np.flatnonzero(self._gap(changed) < gap)
                if not len(nearer):
                    break
                here = changed[rng.choice(nearer)]
        return None

    def _walk(self, architecture: Architecture, rng: Random) -> Architecture:
        """Change one or two random decisions at a time where that stays within the limits.

        Proposals are symmetric, so the uniform distribution over what can be reached is stationary (Metropolis).
        """
        generator = np.random.default_rng(rng.getrandbits(64))
        here, sizes, at_once = np.asarray(architecture), np.asarray(self.space.sizes), 32
        row = np.arange(at_once)
        steps = WALK_STEPS * len(sizes)
        while steps > 0:
            # Proposals from one place are tried in order up to the first that is inside: the same chain, fewer calls.
            proposals = np.tile(here, (at_once, 1))
            for changed in (row, row[generator.random(at_once) < 0.5]):
                decision = generator.integers(0, len(sizes), len(changed))
                proposals[changed, decision] = generator.integers(0, sizes[decision])
            inside = np.flatnonzero(self._inside(proposals))
            if len(inside):
                here = proposals[inside[0]]
            steps -= int(inside[0]) + 1 if len(inside) else at_once
        return as_architecture(here)

    def _gap(self, architectures: NDArray[np.integer]) -> NDArray[np.float64]:
        cost = self.cost(architectures)
        return np.maximum(cost - self.upper, 0) + np.maximum(self.lower - cost, 0)

    def _changes_of_one(self, architecture: NDArray[np.integer]) -> NDArray[np.integer]:
        """(D,) -> (sum of (options - 1), D): every architecture that differs in one decision."""
        rows = []
        for decision, options in enumerate(self.space.sizes):
            for option in range(options):
                if option != architecture[decision]:
                    row = architecture.copy()
                    row[decision] = option
                    rows.append(row)
        return np.stack(rows)

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

"""Cost limits of a search: whether they can be met at all, and architectures that meet them.

Both are known from the lookup table before anything is evaluated. Architectures are drawn uniformly from those within
the limits, however tight they are (`lookup_tables.distribution`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cached_property, partial
from itertools import product
from random import Random

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from lookup_tables import CostTable
from supernet import Architecture, SearchSpace
from supernet.derivation import Limit, check_feasible
from training.differentiable_search.hardware import COUNTED

ENUMERABLE = 1 << 16  # encodings: below this the space is listed
DUPLICATE_TRIES = 64
CHUNK, CHUNKS = 4096, 64  # with limits of several costs: drawn at once within the rarest, and how often at most


class Constraint:
    """The architectures of `space` with `lower <= cost <= upper`, cost in the table's raw unit.

    Without a table every architecture is within the limits. `also` holds the limits of further costs.
    """

    def __init__(
        self,
        space: SearchSpace,
        table: CostTable | None = None,
        *,
        upper: float = math.inf,
        lower: float = -math.inf,
        also: Sequence[Constraint] = (),
    ) -> None:
        self.space = space
        self.table = table
        self.upper = upper
        self.lower = lower
        self.also = tuple(also)

    def cost(self, architectures: Sequence[Architecture] | NDArray[np.integer]) -> NDArray[np.float64]:
        """(N, D) indices -> (N,) costs; zeros without a table."""
        if self.table is None:
            return np.zeros(len(architectures))
        return self.table.cost(np.asarray(architectures))

    def allows(self, architecture: Architecture) -> bool:
        return not self._limits or bool(self._inside(np.asarray([architecture]))[0])

    def check(self, flag: str = "--target-hc", lower_flag: str = "--min-hc") -> None:
        """Raises UserError, with the exact range of the space, where no architecture can be within the limits.

        With several costs that is exact for upper limits and in a small space; else a sample must find one.
        """
        for other in self.also:
            assert other.table is not None
            other.check(f"--constraint {other.table.name}<=...", f"--constraint ...<={other.table.name}")
        if self.table is None:
            return
        self._check_range(self.table, flag, lower_flag)
        if self.also:
            self._check_together()

    def _check_range(self, table: CostTable, flag: str, lower_flag: str) -> None:
        minimum, maximum = table.minimum()[0], table.maximum()[0]
        metric = table.name
        span = f"{self.space.name} has {metric} from {number(minimum, metric)} to {number(maximum, metric)}"
        if math.isnan(self.upper) or math.isnan(self.lower):
            raise UserError(f"{flag} and {lower_flag} must be numbers; {span}")
        if self.upper < minimum:
            raise UserError(f"{flag}: no architecture has {metric} of {number(self.upper, metric)} or less; {span}")
        if self.lower > maximum:
            raise UserError(f"{lower_flag}: no architecture has {metric} of {number(self.lower, metric)}; {span}")
        if self.lower > self.upper:
            raise UserError(f"{lower_flag} is above {flag}: nothing lies between them; {span}")

    def _check_together(self) -> None:
        if all(limit.lower == -math.inf for limit in self._limits) and self.space.size > ENUMERABLE:
            tables = [(limit.table, limit.upper) for limit in self._limits if limit.table is not None]
            check_feasible(
                self.space.sizes,
                [
                    Limit(table.name, table.factors, upper, partial(number, metric=table.name))
                    for table, upper in tables
                ],
            )
        elif not self.draw(Random(0), 1):
            raise UserError(
                f"no architecture was found that is within all limits at once: {' and '.join(self.describe())}"
            )

    def describe(self) -> list[str]:
        """Each limit in words."""
        words = []
        for limit in (self, *self.also):
            if limit.table is not None and (limit.upper < math.inf or limit.lower > 0):
                metric = limit.table.name
                most = f"{metric} of at most {number(limit.upper, metric)}"
                words.append(most + (f" and at least {number(limit.lower, metric)}" if limit.lower > 0 else ""))
        return words

    @cached_property
    def acceptance(self) -> float:
        """Share of all encodings within the limits: exact in a small space, else counted up to rounding.

        With several costs the rarest limit is counted, and how many keep the others is estimated on a sample.
        """
        if not self._limits:
            return 1.0
        if self.space.size <= ENUMERABLE:
            return len(self._listed) / self.space.size
        rarest = self._rarest
        assert rarest.table is not None
        share = rarest.table.distribution.share(rarest.lower, rarest.upper)
        if len(self._limits) == 1 or not share:
            return share
        drawn = rarest.table.distribution.sample(rarest.lower, rarest.upper, CHUNK, np.random.default_rng(0))
        return share * float(self._inside(drawn).mean())

    def sample(self, rng: Random, exclude: Collection[Architecture] = frozenset()) -> Architecture | None:
        """A canonical architecture within the limits and not in `exclude`; None if there is none, or none was found.

        Encodings are drawn uniformly from all that are within the limits.
        """
        for _ in range(DUPLICATE_TRIES):
            drawn = self.draw(rng, 1)
            if not drawn:
                return None
            if drawn[0] not in exclude:
                return drawn[0]
        if self.space.size > ENUMERABLE:
            return None
        left = [architecture for architecture in self._listed_canonical if architecture not in exclude]
        return rng.choice(left) if left else None

    def sample_distinct(
        self, rng: Random, n: int, exclude: Collection[Architecture] = frozenset()
    ) -> list[Architecture]:
        """As `sample`, n that differ; fewer where there are no more, or no more were found."""
        taken = set(exclude)
        found: list[Architecture] = []
        while len(found) < n:
            drawn = self.sample(rng, taken)
            if drawn is None:
                break
            taken.add(drawn)
            found.append(drawn)
        return found

    def draw(self, rng: Random, n: int) -> list[Architecture]:
        """As many canonical architectures, of encodings drawn uniformly from those within the limits.

        [] if there is none, or none was found.
        """
        return [self.space.canonical(architecture) for architecture in self._draw(rng, n)]

    def _inside(self, architectures: NDArray[np.integer]) -> NDArray[np.bool_]:
        inside = np.ones(len(architectures), dtype=np.bool_)
        for limit in self._limits:
            cost = limit.cost(architectures)
            inside &= (cost >= limit.lower) & (cost <= limit.upper)
        return inside

    def _draw(self, rng: Random, n: int) -> list[Architecture]:
        if not self._limits:
            return [self.space.sample(rng) for _ in range(n)]
        if self.space.size <= ENUMERABLE:
            return [as_architecture(rng.choice(self._listed)) for _ in range(n if len(self._listed) else 0)]
        # random.Random carries the state (it is JSON-able); numpy does the work.
        generator = np.random.default_rng(rng.getrandbits(64))
        rarest, found, wanted = self._rarest, 0, n
        assert rarest.table is not None
        drawn = []
        try:
            for _ in range(CHUNKS):
                candidates = rarest.table.distribution.sample(rarest.lower, rarest.upper, wanted, generator)
                drawn.append(candidates if len(self._limits) == 1 else candidates[self._inside(candidates)])
                found += len(drawn[-1])
                if found >= n:
                    return list(map(as_architecture, np.concatenate(drawn)[:n]))
                wanted = CHUNK
        except UserError:
            pass
        return []

    @cached_property
    def _limits(self) -> list[Constraint]:
        """This one and `also`, without those that exclude nothing."""
        return [limit for limit in (self, *self.also) if limit.table is not None and limit._excludes(limit.table)]

    def _excludes(self, table: CostTable) -> bool:
        return self.lower > table.minimum()[0] or self.upper < table.maximum()[0]

    @cached_property
    def _rarest(self) -> Constraint:
        """The limit that the fewest encodings keep."""
        if len(self._limits) == 1:
            return self._limits[0]
        alone = [Constraint(self.space, limit.table, upper=limit.upper, lower=limit.lower) for limit in self._limits]
        return min(alone, key=lambda limit: limit.acceptance)

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
    """A cost as a person reads it: the exact count, and millions where the flags are in millions; milliseconds.

    A table with a title of its own is given without a unit.
    """
    if metric in COUNTED:
        return f"{value:,.0f} ({value / 1e6:.4g} M)"
    return f"{value:,.4f}" + (" ms" if metric == "latency" else "")

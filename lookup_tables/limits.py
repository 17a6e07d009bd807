"""Limits on what an architecture may cost: read from the options, checked, and architectures drawn within them.

Whether limits can be met is known from the lookup tables before anything is evaluated. Architectures are drawn
uniformly from those within the limits, however tight they are (`lookup_tables.distribution`).
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, nearest
from lookup_tables.constraint_text import Ends, limited
from lookup_tables.cost_table import CostTable
from lookup_tables.network_costs import NetworkCosts
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.derivation import check_feasible
from supernet.label_setting import Bound
from supernet.limit_text import parse_limits
from supernet.metrics import Metric

ENUMERABLE = 1 << 16  # encodings below which a space is listed
DUPLICATE_TRIES = 64
SAMPLE = 1000  # draws, where costs are known of whole networks only: for a share, and until one is given up
CHUNK, CHUNKS = 4096, 64  # with several limits: encodings drawn at once within the rarest, and how often at most


@dataclass(frozen=True)
class Limit:
    """One cost between two ends, inclusive, in the table's raw unit.

    The flags are the options that give the ends, for messages.
    """

    table: CostTable
    lower: float = -math.inf
    upper: float = math.inf
    flags: tuple[str, str] = ("--min-hc", "--target-hc")

    def check(self) -> None:
        """Raises UserError, with the exact range of the space, where no architecture can be between the ends."""
        minimum, maximum = self.table.minimum()[0], self.table.maximum()[0]
        name, shown = self.table.name, self.table.metric.in_words
        low, high = self.flags
        span = f"{self.table.space.name} has {name} from {shown(minimum)} to {shown(maximum)}"
        if math.isnan(self.upper) or math.isnan(self.lower):
            raise UserError(f"{high} and {low} must be numbers; {span}")
        if self.upper < minimum:
            raise UserError(f"{high}: no architecture has {name} of {shown(self.upper)} or less; {span}")
        if self.lower > maximum:
            raise UserError(f"{low}: no architecture has {name} of {shown(self.lower)}; {span}")
        if self.lower > self.upper:
            raise UserError(f"{low} is above {high}: nothing lies between them; {span}")

    @property
    def given(self) -> list[str]:
        """The flags of the ends that there are."""
        ends = (self.lower > -math.inf, self.upper < math.inf)
        return [flag for flag, there in zip(self.flags, ends, strict=True) if there]

    def describe(self) -> str:
        """The limit in words; "" where there is none."""
        shown = self.table.metric.in_words
        ends = [f"at most {shown(self.upper)}"] if self.upper < math.inf else []
        ends += [f"at least {shown(self.lower)}"] if self.lower > 0 else []
        return f"{self.table.name} of {' and '.join(ends)}" if ends else ""

    def bounds(self, show: Callable[[Metric, float], str] = Metric.in_flags) -> list[Bound]:
        """Its ends as upper bounds for `supernet.derivation`; the lower one as a bound on the negated cost."""
        shown = partial(show, self.table.metric)
        bounds = [Bound(self.table.name, self.table.factors, self.upper, shown)] if self.upper < math.inf else []
        if self.lower > -math.inf:
            negated = [(scope, -values) for scope, values in self.table.factors]
            bounds.append(Bound(f"-{self.table.name}", negated, -self.lower, shown))
        return bounds


class Limits:
    """The architectures of a space that keep to all of some limits.

    Args:
        space: the search space.
        limits: at most one per table; the first one's cost is that of plots and of ties. Without any, every
            architecture is allowed.
    """

    def __init__(self, space: DecisionSpace, limits: Sequence[Limit] = ()) -> None:
        self.space = space
        self.limits = tuple(limits)

    @property
    def first(self) -> Limit | None:
        """The limit of --info-metric, whose cost plots and reports are about."""
        return self.limits[0] if self.limits else None

    def cost(self, architectures: Sequence[Architecture] | NDArray[np.integer]) -> NDArray[np.float64]:
        """(N, D) indices -> (N,) costs by the first limit's table; zeros without one."""
        if not self.limits:
            return np.zeros(len(architectures))
        return self.limits[0].table.cost(np.asarray(architectures))

    def allows(self, architecture: Architecture) -> bool:
        """True for an architecture that the space allows, within all limits."""
        if not self.binding:
            return self.space.allows(architecture)
        return bool(self.inside(np.asarray([architecture]))[0])

    def check(self) -> None:
        """Raises UserError, with the exact range of the space, where no architecture can be within the limits.

        A band that lies in a gap between two costs is refused with those. With several limits the check is exact for
        upper ends and in a small space; else a sample must find one.
        """
        for limit in (*self.limits[1:], *self.limits[:1]):
            limit.check()
            Limits(self.space, [limit])._check_gap()
        if len(self.limits) < 2:
            return
        one_sided = all(limit.lower == -math.inf for limit in self.binding)
        if one_sided and self.space.size > ENUMERABLE and not self._whole:
            check_feasible(self.space.sizes, [b for limit in self.binding for b in limit.bounds(Metric.in_words)])
        elif not self.draw(Random(0), 1):
            flags = dict.fromkeys(flag for limit in self.limits for flag in limit.given)
            raise UserError(
                f"{', '.join(flags)}: no architecture was found that is within all limits at once: "
                f"{' and '.join(self.describe())}"
            )

    def _check_gap(self) -> None:
        """Raises UserError, with the nearest costs, where no architecture's cost is between the ends of the one limit.

        Only a band can be: a limit with one end is met by the cheapest or by the dearest architecture.
        """
        (limit,) = self.limits
        table, lower, upper = limit.table, limit.lower, limit.upper
        least, greatest = table.minimum()[0], table.maximum()[0]
        if lower <= least or upper >= greatest or self.draw(Random(0), 1):
            return
        if self.space.size <= ENUMERABLE:
            costs = table.cost(self._every)
            nearest = float(costs[costs < lower].max()), float(costs[costs > upper].min())
        elif self._whole:
            raise UserError(f"{', '.join(limit.flags)}: none of many networks drawn from {self.space.name} was between")
        else:
            nearest = table.distribution.around(lower, upper)
        (from_, to), (below, above) = (map(table.metric.in_words, ends) for ends in ((lower, upper), nearest))
        raise UserError(
            f"{', '.join(dict.fromkeys(limit.flags))}: no architecture of {self.space.name} has {table.name} from "
            f"{from_} to {to}; the nearest have {below} and {above}"
        )

    def describe(self) -> list[str]:
        """Each limit in words."""
        return [words for limit in self.limits if (words := limit.describe())]

    def bounds(self) -> list[Bound]:
        """All ends as upper bounds, for `supernet.derivation`."""
        return [bound for limit in self.limits for bound in limit.bounds()]

    @cached_property
    def acceptance(self) -> float:
        """Share of all encodings within the limits: exact in a small space, else counted up to rounding.

        With several limits the rarest is counted, and how many keep the others is estimated on a sample.
        """
        if not self.binding:
            return 1.0
        if self.space.size <= ENUMERABLE:
            return len(self._listed) / self.space.size
        if self._whole:
            rng = Random(0)
            return float(self.inside(np.array([self.space.sample(rng) for _ in range(SAMPLE)])).mean())
        rarest = self._rarest
        share = rarest.table.distribution.share(rarest.lower, rarest.upper)
        if len(self.binding) == 1 or not share:
            return share
        drawn = rarest.table.distribution.sample(rarest.lower, rarest.upper, CHUNK, np.random.default_rng(0))
        return share * float(self.inside(drawn).mean())

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
        while len(found) < n and (drawn := self.sample(rng, taken)) is not None:
            taken.add(drawn)
            found.append(drawn)
        return found

    def draw(self, rng: Random, n: int) -> list[Architecture]:
        """As many canonical architectures, of encodings drawn uniformly from those within the limits.

        [] if there is none, or none was found.
        """
        space = self.space
        if not self.binding:
            return [space.canonical(space.sample(rng)) for _ in range(n)]
        if space.size <= ENUMERABLE:
            drawn = [as_architecture(rng.choice(self._listed)) for _ in range(n if len(self._listed) else 0)]
        elif self._whole:
            tries = (space.sample(rng) for _ in range(n * SAMPLE))
            drawn = [*islice((architecture for architecture in tries if self.allows(architecture)), n)]
        else:
            try:  # random.Random carries the state (it is JSON-able); numpy does the work
                drawn = [*map(as_architecture, self.encodings(np.random.default_rng(rng.getrandbits(64)), n))]
            except UserError:
                return []
        return [space.canonical(architecture) for architecture in drawn]

    def encodings(self, generator: np.random.Generator, n: int) -> NDArray[np.integer]:
        """(n, D) encodings drawn uniformly from those within the limits, of which there must be at least one.

        Raises:
            UserError: nothing is within the limits, or so little that it was not found.
        """
        rarest, found, wanted = self._rarest, 0, n
        drawn = []
        for _ in range(CHUNKS):
            candidates = rarest.table.distribution.sample(rarest.lower, rarest.upper, wanted, generator)
            within = len(self.binding) < 2 and not self._restricted
            drawn.append(candidates if within else candidates[self.inside(candidates)])
            found += len(drawn[-1])
            if found >= n:
                return np.concatenate(drawn)[:n]
            wanted = CHUNK
        raise UserError(f"no architecture was found that is within all limits: {' and '.join(self.describe())}")

    def inside(self, architectures: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(N, D) indices -> (N,): which of them `allows` allows."""
        inside = np.ones(len(architectures), dtype=np.bool_)
        if self._restricted:
            inside[:] = [self.space.allows(as_architecture(row)) for row in architectures]
        for limit in self.binding:
            costs = limit.table.cost(architectures[inside])
            inside[inside] = (costs >= limit.lower) & (costs <= limit.upper)
        return inside

    @cached_property
    def binding(self) -> list[Limit]:
        """The limits, without those that exclude nothing."""
        ends = [(limit, limit.table.minimum()[0], limit.table.maximum()[0]) for limit in self.limits]
        return [limit for limit, least, greatest in ends if limit.lower > least or limit.upper < greatest]

    @cached_property
    def _rarest(self) -> Limit:
        """The limit that the fewest encodings keep; the first one where none excludes anything."""
        if len(self.binding) < 2:
            return (*self.binding, *self.limits)[0]
        return min(self.binding, key=lambda limit: Limits(self.space, [limit]).acceptance)

    @property
    def _whole(self) -> bool:
        """True where a cost is known of whole networks only."""
        return any(isinstance(limit.table, NetworkCosts) for limit in self.limits)

    @property
    def _restricted(self) -> bool:
        """True for a space that does not allow every encoding."""
        return type(self.space).allows is not DecisionSpace.allows

    @cached_property
    def _every(self) -> NDArray[np.integer]:
        return np.asarray(list(self.space.enumerate()))

    @cached_property
    def _listed(self) -> NDArray[np.integer]:
        return self._every[self.inside(self._every)]

    @cached_property
    def _listed_canonical(self) -> list[Architecture]:
        return sorted({self.space.canonical(as_architecture(row)) for row in self._listed})


def as_architecture(row: NDArray[np.integer]) -> Architecture:
    """(D,) array -> tuple of plain ints."""
    return tuple(int(option) for option in row)


def limits_of(options: Any, space: DecisionSpace, tables: Mapping[str, CostTable]) -> Limits:
    """The limits that the options state, that of --info-metric first.

    Args:
        options: with `info_metric`, `target_hc`, `min_hc` and `constraint`.
        tables: by name, of the space at its resolution.

    Raises:
        UserError: as `parse_limits`, or a cost that there is no table of.
    """
    by_constraint = parse_limits(options.constraint)
    limits = []
    for name, ends in limited(options).items():
        if name not in tables:
            raise UserError(
                f"a limit on {name} needs --lookup-table FILE.json with a table of it{nearest(name, list(tables))} "
                f"(there are: {', '.join(tables)})"
            )
        flags = (f"--constraint ...<={name}", f"--constraint {name}<=...")
        if name == options.info_metric:
            flags = ("--constraint", "--constraint") if name in by_constraint else ("--min-hc", "--target-hc")
        limits.append(Limit(tables[name], *raw(ends, tables[name].metric), flags))
    return Limits(space, limits)


def raw(ends: Ends, metric: Metric) -> tuple[float, float]:
    """Ends in the unit of the flags -> (lower, upper) in raw units, infinite where there is no limit."""
    low, high = ends
    return -math.inf if low is None else low * metric.per_flag, math.inf if high is None else high * metric.per_flag

"""Children that use their limit: what is bred below a band under the upper limit grows until it lies in it.

Selection by a noisy score gives no reason to spend the last tenth of a budget, and a mutation leaves it either way: a
search without this leaves about a tenth unused. The larger of two networks of one space is on average the better one,
so what a child leaves unused is spent on changes drawn at random, among which the search selects as among any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limit, Limits, as_architecture
from lookup_tables.network_costs import NetworkCosts
from supernet import Architecture

Rows = NDArray[np.integer]
Shares = NDArray[np.float64]


@options("Strategy")
class FillOptions:
    """Of strategies that breed."""

    fill: float = option(
        0.98,
        "share of an upper limit that children use: cheaper ones grow by random changes until they do, as far as that "
        "goes; 0: as they were bred",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True)
class Filling:
    """Growth of architectures within limits.

    Attributes:
        limits: that are kept to.
        upper: those whose upper ends are used, above zero.
        rng: of every draw.
        share: of an upper end that is used, from which on nothing grows.
    """

    limits: Limits
    upper: Sequence[Limit]
    rng: Random
    share: float

    def __call__(self, architecture: Architecture) -> Architecture:
        """The canonical architecture, which keeps to the limits, or one grown from it that does.

        Step 1: single decisions are changed, each time one drawn uniformly from all changes that use more and keep to
        the limits. Step 2: where there is none left, two decisions are changed at once, drawn from what ends in the
        band or, where nothing does, uses most; then it goes on with step 1.
        """
        sizes, used = self.limits.space.sizes, self._used(np.asarray([architecture]))[0]
        while used < self.share:
            grown, use = self._using_more(singles(architecture, sizes), used)
            if not len(grown):
                grown, use = self._using_more(doubles(architecture, sizes), used)
                if not len(grown):
                    break
                most = use >= min(self.share, use.max())
                grown, use = grown[most], use[most]
            row = self.rng.randrange(len(grown))
            drawn, used = as_architecture(grown[row]), use[row]
            architecture = self.limits.space.canonical(drawn)
            if architecture != drawn:
                used = self._used(np.asarray([architecture]))[0]
        return architecture

    def _used(self, rows: Rows) -> Shares:
        """(N, D) indices -> (N,) the greatest share of an upper end that is used."""
        shares: Shares = np.max([limit.table.cost(rows) / limit.upper for limit in self.upper], axis=0)
        return shares

    def _using_more(self, rows: Rows, used: float) -> tuple[Rows, Shares]:
        """Those of the rows that keep to the limits and use more, and how much."""
        inside = rows[self.limits.inside(rows)]
        use = self._used(inside) if len(inside) else np.zeros(0)
        return inside[use > used], use[use > used]


def filling(limits: Limits, rng: Random, share: float) -> Filling | None:
    """The growth up to a share of the limits; None where nothing is to grow.

    That is so where no upper end excludes anything, and where costs are known of whole networks only: to try every
    change would take too long.
    """
    upper = [limit for limit in limits.limits if 0 < limit.upper < limit.table.maximum()[0]]
    if not share or not upper or any(isinstance(limit.table, NetworkCosts) for limit in limits.limits):
        return None
    return Filling(limits, upper, rng, share)


def singles(architecture: Architecture, sizes: tuple[int, ...]) -> Rows:
    """(N, D): the architecture with every single decision changed to every other option."""
    changes = [(d, o) for d, size in enumerate(sizes) for o in range(size) if o != architecture[d]]
    rows = np.tile(np.asarray(architecture), (len(changes), 1))
    for row, (decision, chosen) in zip(rows, changes, strict=True):
        row[decision] = chosen
    return rows


def doubles(architecture: Architecture, sizes: tuple[int, ...]) -> Rows:
    """(N, D): the architecture with every two decisions changed to all other options."""
    once = singles(architecture, sizes)
    changed = (once != np.asarray(architecture)).argmax(1)
    first, second = np.triu_indices(len(once), 1)
    two = changed[first] != changed[second]
    first, second = first[two], second[two]
    rows = once[first]
    rows[np.arange(len(rows)), changed[second]] = once[second, changed[second]]
    return rows

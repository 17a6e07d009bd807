"""A trainer that draws a size first, each equally often, and then a path uniformly among all of that size.

Uniform sampling trains mostly networks of middle size: of 8 layers with 2 candidates and an identity each, 5 or 6 are
kept in 55 % of all paths, none to 2 in 2 %, and all in 4 %. Sizes are counted by elimination, and paths are drawn from
the counts (`lookup_tables.distribution`), so that it is uniform within a size however rare that is.

Three measures of size: `layers` of a chain; `path`, the layers on a cell's longest live path; and, where all networks
have equally many layers, `macs` in bands of equal width. (Bands with equally many networks in each, that is quantiles,
would give the uniform distribution back.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options, part_of
from lookup_tables.counters import build_table
from lookup_tables.distribution import CostDistribution
from lookup_tables.limits import ENUMERABLE, as_architecture
from supernet import Architecture, SearchSpace
from supernet.blocks import Zero
from supernet.decisions import DecisionSpace
from supernet.liveness import SKIPS, layer_factors, longest_path
from training.trainer import Context
from training.trainers.paths import PathTrainer

BANDS = 8
"""Bands of equal width from the least to the greatest MACs."""

Draw = Callable[[np.random.Generator], Architecture]
"""An architecture uniformly among all of one size."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a space, in words, and what draws from each."""

    words: str
    draws: Sequence[Draw]


def by_layers(space: SearchSpace) -> Sizes:
    """The number of layers with weights that a decision chose, and not as a skip."""
    factors = [(scope, table) for scope, table in layer_factors(space) if scope]

    def number(architectures: np.ndarray) -> np.ndarray:
        total = np.zeros(len(architectures))
        for scope, table in factors:
            total += table[tuple(architectures[:, decision] for decision in scope)]
        return total

    counted = CostDistribution(space.sizes, factors, number)
    numbers = counted.costs[counted.counts > 0].tolist()
    if len(numbers) < 2:
        raise UserError(f"--balance-by layers: all networks of {space.name} have equally many; balance them by macs")
    draws = [partial(_of_band, counted, number, number) for number in numbers]
    return Sizes(f"number of layers, {len(numbers)} of them", draws)


def by_path(space: SearchSpace) -> Sizes:
    """The number of such layers on the longest live path, all encodings listed."""
    if space.size > ENUMERABLE:
        raise UserError(
            f"--balance-by path lists all encodings, at most {ENUMERABLE:,}: {space.name} has {space.size:,}"
        )
    every = np.array(list(space.enumerate()))
    lengths = longest_path(space, every)
    distinct = np.unique(lengths)
    if len(distinct) < 2:
        raise UserError(f"--balance-by path: it is equally long in all networks of {space.name}; balance them by macs")
    return Sizes(
        f"layers on the longest path, {len(distinct)} lengths",
        [partial(_of_list, every[lengths == length]) for length in distinct],
    )


def by_macs(space: SearchSpace) -> Sizes:
    """MACs, in bands of equal width; those in which nothing is are left out."""
    table = build_table(space, "flops", space.input_shape[1])
    least, most = table.minimum()[0], table.maximum()[0]
    if least == most:
        raise UserError(f"--balance-by macs: all networks of {space.name} cost the same, there is nothing to balance")
    edges = np.linspace(least, most, BANDS + 1)[1:-1]
    bands = zip((-np.inf, *edges), (*np.nextafter(edges, -np.inf), np.inf), strict=True)
    draws = [partial(_of_band, table.distribution, *band) for band in bands if _holds(table.distribution, *band)]
    shown = table.metric.in_words
    return Sizes(f"MACs, {len(draws)} bands from {shown(least)} to {shown(most)}", draws)


MEASURES: dict[str, Callable[[SearchSpace], Sizes]] = {"layers": by_layers, "path": by_path, "macs": by_macs}
"""Measures of size, by the name of --balance-by: a function of a space to its sizes, or UserError where it has one."""


def usual_measure(space: SearchSpace) -> str:
    """The measure where none is given: `path` of cells, `layers` where they can be skipped, else `macs`."""
    chosen = {site.name for site in space.sites if site.given}
    joins = any(len(chosen.intersection(site.inputs)) > 1 for site in space.sites)
    if joins or any(isinstance(option, Zero) for site in space.sites for option in site.options):
        return "path" if space.size <= ENUMERABLE else "macs"
    return "layers" if any(set(SKIPS).intersection(decision.options) for decision in space.decisions) else "macs"


@options("Training")
class BalanceOptions:
    """The size that balanced sampling draws first."""

    balance_by: str | None = option(
        None,
        "balanced: the size that is drawn first, each equally often, before a path among all of that size: {names}; "
        "none: layers where some can be skipped, path (layers on the longest one) in cells, else macs",
        metavar="NAME",
        names=MEASURES,
        decides="training",
    )


class BalancedSampler:
    """One path per step: a size, then a path of that size, both uniform; a pure function of (seed, step)."""

    paths_per_step = 1

    def __init__(self, sizes: Sizes, seed: int) -> None:
        self.sizes, self.seed = sizes, seed

    def paths(self, step: int) -> list[Architecture]:
        """The architecture of this step; the same for the same (seed, step)."""
        rng = np.random.default_rng(Random(f"balanced {self.seed} {step}").getrandbits(64))
        return [self.sizes.draws[int(rng.integers(len(self.sizes.draws)))](rng)]


class Balanced(PathTrainer):
    """One path per step, of every size equally often."""

    Options = BalanceOptions

    def __init__(self, context: Context) -> None:
        space = context.space
        name = part_of(context.options, BalanceOptions).balance_by or usual_measure(space)
        if type(space).allows is not DecisionSpace.allows:
            raise UserError(f"--sample-strategy balanced: {space.name} does not count every encoding; take uniform")
        self.sizes = choose("size to balance by", name, MEASURES)(space)
        super().__init__(context, BalancedSampler(self.sizes, context.seed))

    def describe(self) -> str:
        """The sizes, which nobody may have chosen."""
        return f"balanced by {self.sizes.words}, each equally often"


def _of_band(counted: CostDistribution, lower: float, upper: float, rng: np.random.Generator) -> Architecture:
    return as_architecture(counted.sample(lower, upper, 1, rng)[0])


def _of_list(listed: np.ndarray, rng: np.random.Generator) -> Architecture:
    return as_architecture(listed[rng.integers(len(listed))])


def _holds(counted: CostDistribution, lower: float, upper: float) -> bool:
    try:
        counted.sample(lower, upper, 1, np.random.default_rng(0))
    except UserError:
        return False
    return True

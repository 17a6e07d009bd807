"""Paths within a cost band, one per step: SPOS's sampling by FLOPs (Guo et al. 2020), uniform instead of binned."""

from __future__ import annotations

from math import inf
from random import Random

import numpy as np

from config_file.errors import UserError
from config_file.options import TrainSupernetOptions
from lookup_tables import CostTable
from supernet import Architecture, SearchSpace
from training.differentiable_search.hardware import tables_of, unit_of


class ConstrainedSampler:
    """One path per step, uniform over all encodings with lower <= cost <= upper; a pure function of (seed, step).

    Args:
        table: what architectures cost.
        seed: of all draws.
        lower, upper: in the table's raw unit.

    Raises:
        UserError: nothing is within the band; says the exact range of the space.
    """

    paths_per_step = 1

    def __init__(self, table: CostTable, seed: int, *, lower: float, upper: float) -> None:
        self.table, self.seed, self.lower, self.upper = table, seed, lower, upper
        minimum, maximum = table.minimum()[0], table.maximum()[0]
        span = f"{table.space.name} has {table.metric} from {minimum:,.6g} to {maximum:,.6g} {table.unit}"
        if upper < minimum:
            raise UserError(f"--target-hc: no architecture has {table.metric} of {upper:,.6g} or less; {span}")
        if lower > min(upper, maximum):
            raise UserError(f"--min-hc: no architecture has {table.metric} of {lower:,.6g} to {upper:,.6g}; {span}")
        self.paths(0)  # an empty gap between two costs is found out now

    def paths(self, step: int) -> list[Architecture]:
        """The architecture of this step; the same for the same (seed, step)."""
        rng = np.random.default_rng(Random(f"constrained {self.seed} {step}").getrandbits(64))
        (row,) = self.table.distribution.sample(self.lower, self.upper, 1, rng)
        return [tuple(int(option) for option in row)]


def constrained_sampler(
    options: TrainSupernetOptions, space: SearchSpace, resolution: int
) -> ConstrainedSampler | None:
    """The sampler of --sample-strategy uniform within --min-hc and --target-hc; None where nothing is limited.

    Raises:
        UserError: no such metric or table, or limits that nothing is within.
    """
    if options.target_hc is None and options.min_hc is None:
        return None
    table = tables_of(options, space, resolution, {options.info_metric: None})[options.info_metric]
    unit = unit_of(options.info_metric)
    return ConstrainedSampler(
        table,
        options.random_seed,
        lower=-inf if options.min_hc is None else options.min_hc * unit,
        upper=inf if options.target_hc is None else options.target_hc * unit,
    )

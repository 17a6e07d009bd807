"""Paths within a cost band, one per step: SPOS's sampling by FLOPs (Guo et al. 2020), uniform instead of binned."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from lookup_tables.limits import Limits, as_architecture, limits_of
from lookup_tables.loading import tables_of
from supernet import Architecture, SearchSpace


class ConstrainedSampler:
    """One path per step, uniform over all encodings within limits; a pure function of (seed, step).

    Args:
        limits: at least one.
        seed: of all draws.

    Raises:
        UserError: nothing is within the limits; says the exact range of the space.
    """

    paths_per_step = 1

    def __init__(self, limits: Limits, seed: int) -> None:
        self.limits, self.seed = limits, seed
        limits.check()
        self.paths(0)  # an empty gap between two costs is found out now

    def paths(self, step: int) -> list[Architecture]:
        """The architecture of this step; the same for the same (seed, step)."""
        rng = np.random.default_rng(Random(f"constrained {self.seed} {step}").getrandbits(64))
        return list(map(as_architecture, self.limits.encodings(rng, 1)))


def constrained_sampler(options: Any, space: SearchSpace, resolution: int) -> ConstrainedSampler | None:
    """The sampler of --sample-strategy uniform within --min-hc and --target-hc; None where nothing is limited.

    Raises:
        UserError: no such metric or table, or limits that nothing is within.
    """
    if options.target_hc is None and options.min_hc is None:
        return None
    tables = tables_of(options, space, resolution, [options.info_metric])
    # --constraint is for what is derived and searched later, not for the paths that are trained.
    return ConstrainedSampler(limits_of(replace(options, constraint=None), space, tables), options.random_seed)

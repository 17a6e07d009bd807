"""Paths within a cost band, one per step: SPOS's sampling by FLOPs (Guo et al. 2020), uniform instead of binned."""

from __future__ import annotations

from random import Random

import numpy as np

from lookup_tables.limits import Limits, as_architecture
from supernet import Architecture


class ConstrainedSampler:
    """One path per step, uniform over all encodings within limits; a pure function of (seed, step).

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

"""Costs of the networks of a space without sites: each is counted as a whole, when it is first asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from lookup_tables.cost_table import CostTable, input_shape
from lookup_tables.counters import build_table
from supernet import Architecture
from supernet.elimination import Factor
from supernet.metrics import Metric, counted_metrics
from supernet.space import NetworkSpace, SearchSpace


@dataclass(frozen=True, eq=False)
class NetworkCosts(CostTable):
    """A cost table whose costs are no sums over decisions, so that nothing is known of parts of an architecture.

    Limits are kept by drawing networks until they are within them. Made by `network_costs`.
    """

    def __post_init__(self) -> None:
        """There are no blocks to look up."""

    @property
    def factors(self) -> list[Factor]:
        """Nothing. Raises UserError: a limit can be kept by strategies that draw and change whole architectures."""
        raise UserError(
            f"{self.name} of {self.space.name} is known network by network only: this needs costs of single decisions"
        )

    def cost(self, architectures: NDArray[np.integer] | Sequence[Architecture]) -> NDArray[np.float64]:
        """(N, D) option indices -> (N,) costs in raw units. Raises ValueError for what is no network of the space."""
        return np.array([self._of(tuple(map(int, row))) for row in architectures], dtype=np.float64)

    def _of(self, architecture: Architecture) -> float:
        canonical = self.space.canonical(architecture)
        if canonical not in self._known:
            spec, shape = self.space.decode(canonical), input_shape(self.space, self.resolution)
            self._known[canonical] = float(spec.total(self.metric.of, shape))
        return self._known[canonical]

    @cached_property
    def _known(self) -> dict[Architecture, float]:
        return {}

    @cached_property
    def _extremes(self) -> tuple[tuple[float, Architecture], tuple[float, Architecture]]:
        least, most = self.space.ends()
        low, high = self.cost([least, most]).tolist()
        return (low, least), (high, most)


def counted_costs(space: NetworkSpace, resolution: int) -> dict[str, CostTable]:
    """By name, the costs of every metric that is known without measuring anything."""
    if isinstance(space, SearchSpace):
        return {metric.name: build_table(space, metric.name, resolution) for metric in counted_metrics()}
    return {metric.name: network_costs(space, metric, resolution) for metric in counted_metrics()}


def network_costs(space: NetworkSpace, metric: Metric, resolution: int) -> NetworkCosts:
    """The costs of a space's networks by a counted metric, for images of a resolution."""
    return NetworkCosts(space, metric, resolution, {}, metric.counted, counter_version="1")

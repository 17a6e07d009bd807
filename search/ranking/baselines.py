"""Baselines of a ranking: what is known of every network without training anything."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lookup_tables import build_table
from search.ranking.agreement import equal_groups, tenths
from search.ranking.statistics import Floats, Stratum
from supernet import Architecture, SearchSpace
from supernet.liveness import layers, live_costs
from supernet.metrics import FLOPS, counted_metrics

LIVE, LAYERS = "live flops", "layers"
EQUAL_LAYERS, EQUAL_COST = "equal layers", "equal cost"


def baselines(space: SearchSpace, networks: Sequence[Architecture], resolution: int) -> dict[str, Floats]:
    """Every counted metric, the FLOPs that a path from the image to the output uses, and the number of layers.

    Layers are those that a decision chose, with weights and not as a skip or identity.

    Args:
        space: what the networks are of.
        networks: N architectures.
        resolution: height and width of the image, in pixels.

    Returns:
        (N,) by name.
    """
    shape = space.input_shape[0], resolution, resolution
    found = {metric.name: build_table(space, metric.name, resolution).cost(networks) for metric in counted_metrics()}
    return found | {LIVE: live_costs(space, networks, FLOPS.of, shape), LAYERS: layers(space, networks)}


def cost_of(known: Mapping[str, Floats]) -> Floats | None:
    """The live multiply-accumulates among baselines, or all of them where those are not known."""
    return known.get(LIVE, known.get(FLOPS.name))


def strata(known: Mapping[str, Floats]) -> dict[str, list[Stratum]]:
    """The groups of networks within which a score is worth something in a search with a budget, by name.

    Equally many layers, and tenths of the networks by their cost.
    """
    cost = cost_of(known)
    found = {EQUAL_LAYERS: equal_groups(known[LAYERS])} if LAYERS in known else {}
    return found if cost is None else {**found, EQUAL_COST: tenths(cost)}


def equal_networks(space: SearchSpace, networks: Sequence[Architecture]) -> NDArray[np.intp]:
    """(N,) numbers, the same for architectures that are the same network."""
    number: dict[object, int] = {}
    keys = (space.network_key(architecture) for architecture in networks)
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)

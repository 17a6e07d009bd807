"""Probes, which a latency table is measured on: every distinct block once, and a few whole networks beside the sum."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from deployment.engines import Layer
from lookup_tables.cost_table import input_shape
from lookup_tables.latency.block_features import block_counts, timed_blocks
from supernet import Architecture, Network, SearchSpace

SPREAD = 64
"""Random architectures among which each network is chosen, so that together they span the space's work evenly."""


def probe_names(blocks: int, networks: int) -> list[str]:
    """The names of probes, also those of their files: of so many of `timed_blocks`, then of so many networks."""
    return [f"blocks/{index:03d}" for index in range(blocks)] + [f"networks/{index:03d}" for index in range(networks)]


def all_probes(space: SearchSpace, resolution: int, networks: Sequence[Architecture]) -> dict[str, Layer]:
    """By name a layer with random weights per distinct block, then one per network, at the resolution it decides."""
    keys, image = timed_blocks(space, resolution), input_shape(space, resolution)
    layers = [Layer(nn.Sequential(block.build(shape[0])).eval(), shape) for block, shape in keys]
    for architecture in networks:
        own = space.image(architecture) if image == space.input_shape else image
        layers.append(Layer(Network(space.decode(architecture), image[0]).eval(), own))
    return dict(zip(probe_names(len(keys), len(networks)), layers, strict=True))


def spread_architectures(space: SearchSpace, resolution: int, count: int, seed: int) -> list[Architecture]:
    """Random architectures from small to large: evenly spaced by rank of MACs among many uniformly drawn ones."""
    drawn = np.random.default_rng(seed).integers(0, space.sizes, (max(1, SPREAD * count), len(space.sizes)))
    macs = block_counts(space, resolution, drawn) @ [block.macs(at) for block, at in timed_blocks(space, resolution)]
    order = np.argsort(macs, kind="stable")
    ranks = ((np.arange(count) + 0.5) / max(count, 1) * len(order)).astype(int)
    return [tuple(int(option) for option in drawn[order[rank]]) for rank in ranks]

"""Probes, which a latency table is measured on: every distinct block once, and a few whole networks beside the sum."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deployment.engines import Layer
from lookup_tables.cost_table import Key, distinct_blocks, input_shape
from supernet import Architecture, Network, SearchSpace
from supernet.blocks import Identity

SPREAD = 64
"""Random architectures among which each network is chosen, so that together they span the space's work evenly."""


def timed_blocks(space: SearchSpace, resolution: int) -> list[Key]:
    """The distinct blocks that take time: all but identities, which networks leave out."""
    return [key for key in distinct_blocks(space, resolution) if not isinstance(key[0], Identity)]


def block_counts(
    space: SearchSpace, resolution: int, architectures: NDArray[np.integer] | Sequence[Architecture]
) -> NDArray[np.float64]:
    """Numbers of each of `timed_blocks` in each architecture: (N, D) option indices -> (N, P)."""
    rows = np.asarray(architectures, dtype=np.intp).reshape(-1, len(space.sizes))
    column = {key: index for index, key in enumerate(timed_blocks(space, resolution))}
    counts = np.zeros((len(rows), len(column) + 1))  # the last column takes what is absent
    for scope, keys in space.factors(input_shape(space, resolution)):
        columns = np.array([column.get(key, -1) for key in keys.flat]).reshape(keys.shape)
        found = columns[tuple(rows[:, decision] for decision in scope)]
        np.add.at(counts, (np.arange(len(rows)), np.broadcast_to(found, len(rows))), 1)
    return counts[:, :-1]


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

"""Probes, which a latency table is measured on: every distinct block once, and a few whole networks beside the sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import nn

from deployment.engines import Layer
from lookup_tables.cost_table import Key, input_shape
from lookup_tables.latency.block_features import block_counts, timed_blocks
from supernet import Architecture, Network, SearchSpace

SPREAD = 64
"""Random architectures among which each network is chosen, so that together they span the space's work evenly."""


class Probe(NamedTuple):
    """Something to run.

    Args:
        name: unique; also the name of its file.
        layer: with random weights.
    """

    name: str
    layer: Layer


def block_name(index: int) -> str:
    """The name of the probe of one of `timed_blocks`."""
    return f"blocks/{index:03d}"


def network_name(index: int) -> str:
    """The name of the probe of a network."""
    return f"networks/{index:03d}"


def block_probe(index: int, key: Key) -> Probe:
    """One block alone."""
    block, shape = key
    return Probe(block_name(index), Layer(nn.Sequential(block.build(shape[0])).eval(), shape))


def network_probe(index: int, space: SearchSpace, resolution: int, architecture: Architecture) -> Probe:
    """A whole network."""
    network = Network(space.decode(architecture), space.input_shape[0]).eval()
    return Probe(network_name(index), Layer(network, input_shape(space, resolution)))


def spread_architectures(space: SearchSpace, resolution: int, count: int, seed: int) -> list[Architecture]:
    """Random architectures from small to large: evenly spaced by rank of MACs among many uniformly drawn ones."""
    drawn = np.random.default_rng(seed).integers(0, space.sizes, (max(1, SPREAD * count), len(space.sizes)))
    macs = block_counts(space, resolution, drawn) @ [block.macs(at) for block, at in timed_blocks(space, resolution)]
    order = np.argsort(macs, kind="stable")
    ranks = ((np.arange(count) + 0.5) / max(count, 1) * len(order)).astype(int)
    return [tuple(int(option) for option in drawn[order[rank]]) for rank in ranks]


def all_probes(space: SearchSpace, resolution: int, networks: Sequence[Architecture]) -> list[Probe]:
    """A probe per distinct block, then one per network."""
    blocks = [block_probe(index, key) for index, key in enumerate(timed_blocks(space, resolution))]
    return blocks + [network_probe(index, space, resolution, a) for index, a in enumerate(networks)]

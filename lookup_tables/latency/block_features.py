"""Features of a block that bear on its latency and need no measurement: its work, its traffic, its parts."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from lookup_tables.cost_table import Key, distinct_blocks, input_shape
from supernet import Architecture, Block, SearchSpace, Shape
from supernet.blocks import Conv, Identity

FEATURES = ("dense MACs", "grouped MACs", "depthwise MACs", "elements read and written", "parameters", "operators")


def block_features(keys: Sequence[Key]) -> NDArray[np.float64]:
    """(P, len(FEATURES)) of blocks at input shapes. Depthwise MACs tell the kernels apart."""
    return np.array([_features(*key) for key in keys], dtype=np.float64).reshape(len(keys), len(FEATURES))


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


def _features(block: Block, shape: Shape) -> list[float]:
    dense = grouped = depthwise = elements = params = operators = 0
    for part, entering in block.primitives(shape):
        macs = part.macs(entering)
        if isinstance(part, Conv) and part.out_channels is None:
            depthwise += macs
        elif isinstance(part, Conv) and part.groups > 1:
            grouped += macs
        else:
            dense += macs
        elements += prod(entering) + prod(part.output_shape(entering))
        params += part.params(entering)
        operators += 1
    return [dense, grouped, depthwise, elements, params, operators]

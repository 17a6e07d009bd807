"""NAS-Bench-101 (Ying et al. 2019): the keys by which tables know its cells."""

from functools import lru_cache
from typing import cast

from supernet import Architecture
from supernet.spaces.nasbench101 import OPS, nasbench101

_SPACE = nasbench101()


@lru_cache(2**18)
def cell_hash(architecture: Architecture) -> str:
    """The hash by which the benchmark's files name a cell; isomorphic ones have the same."""
    return cast(str, _SPACE.network_key(architecture))


@lru_cache(2**18)
def cell_features(architecture: Architecture) -> tuple[int, ...]:
    """Numbers of each operation, of edges and of the edges of the longest path, and three bits of the hash.

    The key of generated tables, which cannot list all cells: isomorphic ones have the same features, and neighbours
    similar ones.
    """
    matrix, labels = _SPACE.cell(architecture)
    longest = [0] * len(labels)
    for target in range(1, len(labels)):
        longest[target] = 1 + max(longest[source] for source in range(target) if matrix[source][target])
    counts = [labels.count(op) for op in range(len(OPS))]
    bits = int(cell_hash(architecture)[0], 16) % 8
    return *counts, sum(map(sum, matrix)), longest[-1] if longest else 0, bits

"""NAS-Bench-101 (Ying et al. 2019): the keys by which its cells are known.

A cell is a graph of at most seven vertices and nine edges, from the input to the output; 423,624 differ.
"""

from functools import lru_cache

from supernet import Architecture
from supernet.graph_hash import module_hash, pruned

VERTICES = 7
EDGES = tuple((source, target) for source in range(VERTICES) for target in range(source + 1, VERTICES))
"""The edges of an architecture's first 21 decisions; its last five are the operations between input and output."""

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def cell(architecture: Architecture) -> tuple[list[list[int]], list[int]]:
    """The pruned cell: adjacency, and labels as the benchmark gives them (input -1, index of the operation, output -2).

    Both are empty where no path leads from the input to the output.
    """
    matrix = [[0] * VERTICES for _ in range(VERTICES)]
    for (source, target), there in zip(EDGES, architecture, strict=False):
        matrix[source][target] = int(there)
    return pruned(matrix, [-1, *architecture[len(EDGES) :], -2])


@lru_cache(2**18)
def cell_hash(architecture: Architecture) -> str:
    """The hash by which the benchmark's files name a cell; isomorphic ones have the same."""
    return module_hash(*cell(architecture))


@lru_cache(2**18)
def cell_features(architecture: Architecture) -> tuple[int, ...]:
    """Numbers of each operation, of edges and of the edges of the longest path, and three bits of the hash.

    The key of generated tables, which cannot list all cells: isomorphic ones have the same features, and neighbours
    similar ones.
    """
    matrix, labels = cell(architecture)
    longest = [0] * len(labels)
    for target in range(1, len(labels)):
        longest[target] = 1 + max(longest[source] for source in range(target) if matrix[source][target])
    counts = [labels.count(op) for op in range(len(OPS))]
    return *counts, sum(map(sum, matrix)), longest[-1] if longest else 0, int(module_hash(matrix, labels)[0], 16) % 8

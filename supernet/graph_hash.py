"""Hashes of small labelled graphs: equal for isomorphic ones (Ying et al. 2019, NAS-Bench-101).

The tables of NAS-Bench-101 and NAS-Bench-ASR name their networks by this hash of the pruned graph, so that it must be
the published one, to the digit.
"""

import hashlib
from collections.abc import Callable, Sequence

Matrix = Sequence[Sequence[int]]
"""Adjacency: `matrix[source][target]` is 1 where an edge leads from one vertex to the other."""


def module_hash(matrix: Matrix, labels: Sequence[int], number: Callable[[int], float] = int) -> str:
    """The hash of a graph, 32 hexadecimal digits.

    Args:
        matrix: (V, V) zeros and ones.
        labels: of the vertices.
        number: how degrees are written: as integers, in NAS-Bench-ASR as floats.
    """
    vertices = range(len(labels))
    leaves = [number(sum(matrix[v])) for v in vertices]
    enters = [number(sum(matrix[w][v] for w in vertices)) for v in vertices]
    # 1. A vertex begins as its degrees and its label, ...
    hashes = [_md5(str(vertex)) for vertex in zip(leaves, enters, labels, strict=True)]
    before = [[w for w in vertices if matrix[w][v]] for v in vertices]
    after = [[w for w in vertices if matrix[v][w]] for v in vertices]
    # 2. ... takes in its neighbours on either side as often as there are vertices, ...
    for _ in vertices:
        hashes = [
            _md5("|".join(["".join(sorted(hashes[w] for w in side[v])) for side in (before, after)] + [hashes[v]]))
            for v in vertices
        ]
    # 3. ... and the graph is all of them in any order.
    return _md5(str(sorted(hashes)))


def pruned(matrix: Matrix, labels: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """The graph without the vertices that are on no path from the first one to the last; empty where there is no path.

    Args:
        matrix: (V, V), upper triangular: edges lead to later vertices.
        labels: of the vertices.
    """
    kept = on_paths(matrix)
    return [[int(matrix[source][target]) for target in kept] for source in kept], [labels[vertex] for vertex in kept]


def on_paths(matrix: Matrix) -> list[int]:
    """The vertices that are on a path from the first one to the last, ascending."""
    last = len(matrix) - 1
    reached, wanted = {0}, {last}
    for target in range(1, last + 1):
        if any(matrix[source][target] for source in reached):
            reached.add(target)
    for source in range(last - 1, -1, -1):
        if any(matrix[source][target] for target in wanted):
            wanted.add(source)
    return sorted(reached & wanted)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

from __future__ import annotations

import itertools
import random

from supernet.graph_hash import module_hash, pruned

FIRST = [
    [0, 1, 0, 0, 1, 1, 0],
    [0, 0, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
"""The first network of NAS-Bench-101's file: 3x3, max pool, 3x3, 3x3, 1x1."""


def test_the_published_hash_of_the_first_network_of_nasbench101() -> None:
    assert module_hash(FIRST, [-1, 0, 2, 0, 0, 1, -2]) == "00005c142e6f48ac74fdcf73e3439874"


def test_isomorphic_graphs_have_one_hash_and_others_another() -> None:
    """Brute force over all permutations of all graphs of four vertices: equal hashes, isomorphic graphs."""
    rng = random.Random(0)
    inner = list(itertools.permutations(range(4)))

    def forms(matrix: list[list[int]], labels: list[int]) -> tuple[object, ...]:
        return min(
            (tuple(labels[v] for v in order), tuple(tuple(matrix[a][b] for b in order) for a in order))
            for order in inner
        )

    found: dict[str, object] = {}
    for bits in itertools.product((0, 1), repeat=6):
        edges = dict(zip(itertools.combinations(range(4), 2), bits, strict=True))
        matrix = [[edges.get((a, b), 0) for b in range(4)] for a in range(4)]
        labels = [-1, rng.randrange(2), rng.randrange(2), -2]
        form = forms(matrix, labels)
        assert found.setdefault(module_hash(matrix, labels), form) == form
    assert len(set(found.values())) == len(found)


def test_what_is_on_no_path_is_pruned() -> None:
    dangling = [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert pruned(dangling, [-1, 0, 1, 2, -2]) == ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [-1, 0, -2])
    assert pruned(FIRST, list(range(7))) == (FIRST, list(range(7)))
    assert pruned([[0, 1, 0], [0, 0, 0], [0, 0, 0]], [-1, 0, -2]) == ([], [])

"""NAS-Bench-ASR (Mehrotra et al. 2021): cells of a speech recogniser, as decisions; 13,824 encodings, 8,242 graphs.

Three nodes in a row, each one of five operations or zero; behind each, skip connections from the input and the nodes
before it. The networks read spectrograms and are no part of the toolkit: a table of them can be searched.
"""

from supernet import Architecture
from supernet.decisions import Decision, DecisionSpace
from supernet.graph_hash import module_hash, pruned

OPS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
NODES = 3


def _decisions() -> tuple[Decision, ...]:
    """The main operation of each node, and for each earlier value whether it is added behind the node."""
    decisions = []
    for node in range(NODES):
        decisions.append(Decision(f"op{node + 1}", OPS))
        decisions += [Decision(f"skip{earlier}-{node + 2}", ("no", "yes")) for earlier in range(node + 1)]
    return tuple(decisions)


SPACE = DecisionSpace("nasbench_asr", _decisions())


def cell_hash(architecture: Architecture) -> str:
    """The hash by which the benchmark's files name a cell: of its graph without zeros and what they cut off.

    Isomorphic cells have the same one. Vertices are the input, the nodes and the output.
    """
    size = NODES + 2
    labels = [-1, *([0] * NODES), -2]
    matrix = [[0] * size for _ in range(size)]
    position = 0
    for node in range(1, NODES + 1):
        labels[node] = architecture[position]
        matrix[node - 1][node] = 1
        for earlier in range(node):
            matrix[earlier][node + 1] = architecture[position + 1 + earlier]
        position += 1 + node
    matrix[NODES][NODES + 1] = 1
    zero = OPS.index("zero")
    for vertex in range(1, NODES + 1):
        if labels[vertex] == zero:
            matrix[vertex] = [0] * size
            for row in matrix:
                row[vertex] = 0
    return module_hash(*pruned(matrix, labels), number=float)

"""NAS-Bench-101 (Ying et al. 2019): a cell is any graph of at most seven vertices and nine edges; 423,624 differ.

The channels of a vertex depend on the whole graph: vertices that lead to the output share its channels, and a vertex
before them has as many as the widest that it leads to. So there are no sites, and every network has its own weights.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, compress
from typing import Any

import numpy as np

from config_file.errors import UserError
from supernet.blocks import Block, Conv, Head, Identity, Pool, Shape
from supernet.composites import FirstChannels
from supernet.decisions import Architecture, Decision, digest
from supernet.graph_hash import module_hash, pruned
from supernet.space import NetworkSpace
from supernet.spec import INPUT, NetSpec, Node

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
VERTICES, MOST_EDGES = 7, 9
EDGES = tuple(combinations(range(VERTICES), 2))
"""The edges of an architecture's first 21 decisions; its last five are the operations between input and output."""

WIDTHS, DEPTHS = (128, 256, 512), (3, 3, 3)


@dataclass(frozen=True, eq=False)
class NASBench101(NetworkSpace):
    """The space: an edge or none between any two vertices, and an operation at each vertex between input and output.

    Args:
        widths: channels of the cells of each stack; the stem has those of the first.
        depths: cells of each stack.
        classes: width of the classifier.
        vertices, most_edges: of a cell; edges count where a path from input to output leads over them.
    """

    input_shape: Shape
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    classes: int
    vertices: int = VERTICES
    most_edges: int = MOST_EDGES
    recipe: Mapping[str, Any] = field(default_factory=dict)

    # ---- cells

    @cached_property
    def edges(self) -> list[tuple[int, int]]:
        """The edges in the order of their decisions, row by row of the adjacency matrix."""
        return list(combinations(range(self.vertices), 2))

    def live(self, edges: Sequence[tuple[int, int]]) -> int:
        """The vertices on paths from input to output over these edges, in the order of `edges`: bit v for vertex v."""
        reached, wanted = 1, 1 << self.vertices - 1
        for source, target in edges:  # all that leads to a source stands before it
            if reached >> source & 1:
                reached |= 1 << target
        for source, target in reversed(edges):
            if wanted >> target & 1:
                wanted |= 1 << source
        return reached & wanted

    def graph(self, architecture: Sequence[int]) -> tuple[list[list[int]], list[int]]:
        """Adjacency, and labels as the benchmark gives them: input -1, index of the operation, output -2."""
        matrix = [[0] * self.vertices for _ in range(self.vertices)]
        for (source, target), there in zip(self.edges, architecture, strict=False):
            matrix[source][target] = int(there)
        return matrix, [-1, *architecture[len(self.edges) :], -2]

    def cell(self, architecture: Sequence[int]) -> tuple[list[list[int]], list[int]]:
        """The graph without what is on no path from input to output; empty where there is no path."""
        return pruned(*self.graph(architecture))

    def allows(self, architecture: Sequence[int]) -> bool:
        """True for a cell in which a path leads to the output, over at most nine edges in all."""
        there = list(compress(self.edges, architecture))
        live = self.live(there)
        return 0 < sum(live >> source & live >> target & 1 for source, target in there) <= self.most_edges

    @cached_property
    def num_canonical(self) -> int:
        """Number of cells that differ in a decision that matters, exactly; isomorphic ones are counted each."""
        last, count = self.vertices - 1, 2 ** len(self.edges)
        there = {edge: np.arange(count) >> bit & 1 for bit, edge in enumerate(self.edges)}
        # What a path from the input reaches, and what leads to the output.
        reached = [np.ones(count, dtype=bool), *np.zeros((last, count), dtype=bool)]
        wanted = [*np.zeros((last, count), dtype=bool), np.ones(count, dtype=bool)]
        for source, target in self.edges:
            reached[target] |= reached[source] & (there[source, target] == 1)
        for source, target in reversed(self.edges):
            wanted[source] |= wanted[target] & (there[source, target] == 1)
        live = np.array(reached) & np.array(wanted)
        edges = sum(there.values())
        used = sum(there[source, target] * (live[source] & live[target]) for source, target in self.edges)
        kept = live[0] & (edges == used) & (edges <= self.most_edges)
        return int((len(OPS) ** (live[:, kept].sum(0) - 2)).sum())

    def matters(self, architecture: Sequence[int], decision: int) -> bool:
        """True if the decision is of an edge that is on a path, or would be, or of a vertex on one."""
        changed = [*architecture[:decision], 1, *architecture[decision + 1 :]]
        live = self.live(list(compress(self.edges, changed)))
        ends = [decision - len(self.edges) + 1] if decision >= len(self.edges) else self.edges[decision]
        return all(live >> vertex & 1 for vertex in ends)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The same cell, with no edges but those on paths and operation 0 at vertices that are on none."""
        live = self.live(list(compress(self.edges, architecture)))
        pairs = zip(self.edges, architecture, strict=False)
        edges = [there and live >> source & live >> target & 1 for (source, target), there in pairs]
        ops = architecture[len(edges) :]
        return *edges, *[op if live >> vertex & 1 else 0 for vertex, op in enumerate(ops, start=1)]

    def network_key(self, architecture: Architecture) -> Hashable:
        """The hash by which the benchmark knows a cell: isomorphic ones, which it counts as one network, share it."""
        return module_hash(*self.cell(architecture))

    # ---- networks

    def decode(self, architecture: Architecture) -> NetSpec:
        """The network, as the benchmark's authors build it."""
        if not self.is_valid(architecture) or not self.allows(architecture):
            raise ValueError(f"{architecture} is not an architecture of {self.name}")
        matrix, labels = self.cell(architecture)
        nodes = [Node("stem", Conv(self.widths[0], 3, act="relu"), (INPUT,))]
        for stack, (width, cells) in enumerate(zip(self.widths, self.depths, strict=True)):
            if stack:
                nodes.append(Node(f"pool{stack}", Pool("max2x2"), (nodes[-1].site,)))
            for number in range(cells):
                nodes += _cell(f"cell{stack}{number}", nodes[-1].site, matrix, labels, width)
        return NetSpec((*nodes, Node("head", Head(self.classes), (nodes[-1].site,))))

    def ends(self) -> tuple[Architecture, Architecture]:
        """The networks that cost least and most.

        Least: one projection, to a pooling that shares the output's channels with as many poolings of its own as there
        are edges for, two each.
        Most: a chain of 3x3 convolutions of full width, most of which have a projection of the input besides.
        """
        last = self.vertices - 1
        shared = range(1, min(last - 1, self.most_edges // 2) + 1)
        fan = {(0, 1), *((1, v) for v in shared[1:]), *((v, last) for v in shared)}
        spare = [(0, v) for v in range(2, self.vertices)][: self.most_edges - last]
        chain = {*((v, v + 1) for v in range(last)), *spare}
        least, most = ([int(edge in among) for edge in self.edges] for among in (fan, chain))
        inner = self.vertices - 2
        return (*least, *[OPS.index("maxpool3x3")] * inner), (*most, *[OPS.index("conv3x3-bn-relu")] * inner)

    @cached_property
    def macro_fingerprint(self) -> str:
        """Weights can be exchanged between spaces with the same one."""
        settings = [self.input_shape[0], self.widths, self.depths, self.classes, self.most_edges]
        return digest([self.name, self.decisions_fingerprint, *settings])


def vertex_channels(matrix: Sequence[Sequence[int]], width: int) -> list[int]:
    """Channels of the vertices of a pruned cell that puts out `width`; of the input, which is projected, 0."""
    last = len(matrix) - 1
    channels = [0] * last + [width]
    shared = [vertex for vertex in range(1, last) if matrix[vertex][last]]
    for place, vertex in enumerate(shared):  # what does not divide goes to the first ones
        channels[vertex] = width // len(shared) + (place < width % len(shared))
    for vertex in range(last - 1, 0, -1):
        if not matrix[vertex][last]:
            channels[vertex] = max(channels[after] for after in range(vertex + 1, last) if matrix[vertex][after])
    return channels


def _cell(name: str, entry: str, matrix: Sequence[Sequence[int]], labels: Sequence[int], width: int) -> Iterator[Node]:
    """The nodes of a cell, the last one its output."""
    last, channels = len(matrix) - 1, vertex_channels(matrix, width)
    for vertex in range(1, last):
        reads = []
        for source in range(1, vertex):
            if not matrix[source][vertex]:
                continue
            reads.append(f"{name}/{source}")
            if channels[source] > channels[vertex]:
                reads[-1] = f"{name}/{source}to{vertex}"
                yield Node(reads[-1], FirstChannels(channels[vertex]), (f"{name}/{source}",))
        if matrix[0][vertex]:
            reads.append(f"{name}/0to{vertex}")
            yield Node(reads[-1], _projection(channels[vertex]), (entry,))
        yield Node(f"{name}/{vertex}", _operation(labels[vertex], channels[vertex]), tuple(reads))
    outputs = tuple(f"{name}/{vertex}" for vertex in range(1, last) if matrix[vertex][last])
    if len(outputs) > 1:
        yield Node(f"{name}/joined", Identity(), outputs, "concat")
        outputs = (f"{name}/joined",)
    if matrix[0][last]:
        yield Node(f"{name}/0to{last}", _projection(width), (entry,))
        if outputs:
            yield Node(f"{name}/{last}", Identity(), (*outputs, f"{name}/0to{last}"))


def _projection(channels: int) -> Block:
    return Conv(channels, act="relu")


def _operation(label: int, channels: int) -> Block:
    return Pool("max") if OPS[label].startswith("maxpool") else Conv(channels, 3 if label == 0 else 1, act="relu")


def nasbench101(
    resolution: int = 32,
    num_classes: int = 10,
    in_channels: int = 3,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    vertices: int = VERTICES,
    most_edges: int = MOST_EDGES,
) -> NASBench101:
    """The space.

    Args:
        resolution, num_classes, in_channels: of the images.
        widths: channels of each stack; the published ones are 128, 256, 512.
        depths: cells of each stack; the published ones are 3, 3, 3.
        vertices, most_edges: of a cell; the published ones are 7 and 9.

    Raises:
        UserError: not as many widths as depths, or widths that the vertices of a cell cannot share.
    """
    widths = WIDTHS if widths is None else tuple(widths)
    depths = DEPTHS[: len(widths)] if depths is None else tuple(depths)
    if len(widths) != len(depths):
        raise UserError(
            f"nasbench101: one width and one depth per stack, not {len(widths)} widths and {len(depths)} depths"
        )
    if min(widths) < vertices - 2:
        raise UserError(f"nasbench101: up to {vertices - 2} vertices share the channels of a cell, not {min(widths)}")
    decisions = [
        Decision(f"{source}-{target}", ("none", "edge")) for source, target in combinations(range(vertices), 2)
    ]
    decisions += [Decision(f"vertex{vertex}", OPS) for vertex in range(1, vertices - 1)]
    image = in_channels, resolution, resolution
    return NASBench101("nasbench101", tuple(decisions), image, widths, depths, num_classes, vertices, most_edges)

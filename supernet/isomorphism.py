"""Keys of networks, equal where two are the same: whatever their sites are called, in whatever order they are listed.

Blocks that nothing reads are left out, sums of sums are one sum, and zeros add nothing. A convolution that
reads only zeros stays: behind its batch norm is a shift that is learned.
"""

import hashlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from supernet.blocks import Block, Identity, Pool, Zero
from supernet.spec import INPUT, NetSpec

KEEPS_ZEROS = (Identity, Pool, Zero)


class _Vertex(NamedTuple):
    """A block and the vertices it reads, by position; -1 is the image, -2 a feature map of zeros."""

    block: Block
    merge: str
    inputs: tuple[int, ...]


IMAGE, ZEROS = -1, -2


def network_key(spec: NetSpec) -> Hashable:
    """A key of the network: equal keys, the same network.

    The other way round it holds for chains and for every graph that colour refinement tells apart (Weisfeiler and Leman
    1968), which regular graphs of equal blocks may not be.
    """
    graph = _live(_simplified(spec))
    if all(vertex.inputs == (position - 1,) for position, vertex in enumerate(graph)):
        return tuple(vertex.block for vertex in graph)
    order = sorted(range(len(graph)), key=_distinct_colours(graph).__getitem__)
    position = {vertex: index for index, vertex in enumerate(order)} | {IMAGE: IMAGE, ZEROS: ZEROS}
    return tuple(
        (block, merge, _unordered([position[read] for read in inputs], merge))
        for block, merge, inputs in (graph[vertex] for vertex in order)
    )


def _simplified(spec: NetSpec) -> list[_Vertex]:
    """The graph without zeros in sums, and without identities: a sum of sums is one sum."""
    summed: dict[str, tuple[int, ...]] = {INPUT: (IMAGE,)}  # what adds up to the value of a site
    graph: list[_Vertex] = []

    def add(block: Block, merge: str, inputs: tuple[int, ...]) -> int:
        graph.append(_Vertex(block, merge if len(inputs) > 1 else "sum", inputs))
        return len(graph) - 1

    def single(terms: tuple[int, ...]) -> int:
        return (terms[0] if len(terms) == 1 else add(Identity(), "sum", terms)) if terms else ZEROS

    for node in spec.nodes:
        reads = [summed[name] for name in node.inputs]
        inputs = tuple(term for terms in reads for term in terms) if node.merge == "sum" else tuple(map(single, reads))
        if isinstance(node.block, Zero) or (isinstance(node.block, KEEPS_ZEROS) and not inputs):
            summed[node.site] = ()
        elif isinstance(node.block, Identity) and (node.merge == "sum" or len(inputs) == 1):
            summed[node.site] = tuple(term for term in inputs if term != ZEROS)
        else:
            summed[node.site] = (add(node.block, node.merge, inputs or (ZEROS,)),)
    output = single(summed[spec.nodes[-1].site])
    return graph[: output + 1] if output >= 0 else []


def _live(graph: Sequence[_Vertex]) -> list[_Vertex]:
    """The vertices that the last one reads, directly or not."""
    live = {len(graph) - 1}
    for position in range(len(graph) - 1, -1, -1):
        if position in live:
            live.update(graph[position].inputs)
    kept = [position for position in range(len(graph)) if position in live]
    renamed = {position: index for index, position in enumerate(kept)} | {IMAGE: IMAGE, ZEROS: ZEROS}
    live_graph = (graph[position] for position in kept)
    return [vertex._replace(inputs=tuple(renamed[read] for read in vertex.inputs)) for vertex in live_graph]


def _unordered(values: Sequence, merge: str) -> tuple:
    return tuple(values) if merge == "concat" else tuple(sorted(values))


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _refine(graph: Sequence[_Vertex], colours: Sequence[bytes]) -> list[bytes]:
    """Colours that also tell what a vertex reads and what reads it, everywhere up and down the graph."""
    distinct = 0
    current = list(colours)
    while len(set(current)) > distinct:
        distinct = len(set(current))
        known: dict[int, bytes] = {IMAGE: b"image", ZEROS: b"zeros"}
        readers: list[list[tuple[bytes, int]]] = [[] for _ in graph]
        for position, vertex in enumerate(graph):
            read = _unordered([known[index] for index in vertex.inputs], vertex.merge)
            known[position] = _digest(current[position], read)
        for position in range(len(graph) - 1, -1, -1):
            current[position] = _digest(known[position], sorted(readers[position]))
            for place, read_from in enumerate(graph[position].inputs):
                if read_from >= 0:
                    rank = place if graph[position].merge == "concat" else 0
                    readers[read_from].append((current[position], rank))
    return current


def _distinct_colours(graph: Sequence[_Vertex]) -> list[bytes]:
    """A colour of its own for every vertex, the same for the same network."""
    colours = _refine(graph, [_digest(vertex.block, vertex.merge) for vertex in graph])
    while len(set(colours)) < len(colours):
        # Vertices that nothing tells apart mirror each other, so it does not matter which one is named first.
        tied = min(colour for colour in colours if colours.count(colour) > 1)
        colours[colours.index(tied)] = _digest("first", tied)
        colours = _refine(graph, colours)
    return colours

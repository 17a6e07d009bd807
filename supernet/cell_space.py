"""CellSpace: a search space that knows the graph of its cells, edge by edge, and of an architecture what it kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from supernet.decisions import Architecture, Decision
from supernet.sites import tabulate
from supernet.space import SearchSpace


@dataclass(frozen=True)
class Pick:
    """A choice of some inputs of a node, and of an operation on each.

    Args:
        sources: the nodes of the cell that can be read.
        gates: per source the gate of the edge from it, which every cell of the kind has.
        inputs: the decision which of them are kept; None: there is nothing to choose.
        kept: per option of that decision the positions in `sources`, ascending.
        operations: the decisions of the operations, one per input that is kept, in the order of `sources`.
    """

    sources: tuple[str, ...]
    gates: tuple[str, ...]
    inputs: int | None
    kept: tuple[tuple[int, ...], ...]
    operations: tuple[int, ...]

    def table(self, position: int, decisions: Sequence[Decision]) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
        """`Site.given` and `Site.table` of the edge from a source: the operation on it where it is kept."""
        places = [kept.index(position) if position in kept else None for kept in self.kept]
        read = sorted({place for place in places if place is not None})  # which operations it can have

        def rule(*indices: int) -> int | None:
            place = places[0 if self.inputs is None else indices[0]]
            return None if place is None else indices[read.index(place) - len(read)]

        given = (*(() if self.inputs is None else (self.inputs,)), *(self.operations[place] for place in read))
        return given, tabulate([len(decisions[decision].options) for decision in given], rule)


@dataclass(frozen=True)
class CellNode:
    """A node of a kind of cell: the sum of what its picks keep."""

    kind: str
    name: str
    picks: tuple[Pick, ...]


class Edge(NamedTuple):
    """An edge that an architecture keeps: the operation, by name, on what a node reads."""

    operation: str
    source: str


@dataclass(frozen=True, eq=False)
class CellSpace(SearchSpace):
    """A search space of cells.

    Args:
        nodes: of all kinds of cells, in the order they run.
        outputs: per kind the nodes that make a cell's output.
        loose: of them, and of the cell's inputs, only those make it that no node reads.
    """

    nodes: tuple[CellNode, ...] = ()
    outputs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    loose: bool = False

    @property
    def picks(self) -> list[Pick]:
        """All choices of inputs."""
        return [pick for node in self.nodes for pick in node.picks]

    def kept(self, architecture: Architecture) -> dict[tuple[str, str], list[Edge]]:
        """Per (kind of cell, node) the edges that it keeps."""
        return {
            (node.kind, node.name): [edge for pick in node.picks for edge in self._edges(pick, architecture)]
            for node in self.nodes
        }

    def ends_of(self, architecture: Architecture) -> dict[str, tuple[str, ...]]:
        """Per kind of cell what its output is made of."""
        if not self.loose:
            return dict(self.outputs)
        read: dict[str, set[str]] = {kind: set() for kind, _ in self.outputs}
        for (kind, _), edges in self.kept(architecture).items():
            read[kind].update(edge.source for edge in edges)
        return {
            kind: tuple(name for name in (*self.inputs_of(kind), *names) if name not in read[kind])
            for kind, names in self.outputs
        }

    def inputs_of(self, kind: str) -> tuple[str, ...]:
        """Inputs of a kind of cell: all that its nodes can read and that is no node of it."""
        nodes = [node for node in self.nodes if node.kind == kind]
        sources = {source for node in nodes for pick in node.picks for source in pick.sources}
        return tuple(sorted(sources - {node.name for node in nodes}))

    def _edges(self, pick: Pick, architecture: Architecture) -> list[Edge]:
        positions = pick.kept[0 if pick.inputs is None else architecture[pick.inputs]]
        names = [self.decisions[decision].options[architecture[decision]] for decision in pick.operations]
        return [Edge(name, pick.sources[position]) for name, position in zip(names, positions, strict=True)]

    def keeping(self, chosen: Mapping[str, int]) -> Architecture:
        """The architecture that keeps these edges: the inverse of `select`.

        Args:
            chosen: per gate of a kept edge the option that stands there, an index of its decisions' options.

        Raises:
            ValueError: a node would keep another number of inputs than it does.
        """
        architecture = [0] * len(self.decisions)
        for pick in self.picks:
            positions = tuple(position for position, gate in enumerate(pick.gates) if gate in chosen)
            if positions not in pick.kept:
                raise ValueError(
                    f"{self.name}: the edges {', '.join(pick.gates)} are kept {len(pick.kept[0])} at a time"
                )
            if pick.inputs is not None:
                architecture[pick.inputs] = pick.kept.index(positions)
            for decision, position in zip(pick.operations, positions, strict=True):
                architecture[decision] = chosen[pick.gates[position]]
        return tuple(architecture)

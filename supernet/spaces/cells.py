"""Cell spaces as a table: the same small graph of operations in every cell, repeated, at three resolutions.

DARTS is such a table, and so is a space of one's own in YAML. A cell reads the two before it; each of its nodes keeps
some of its inputs, with an operation on each, and adds them up; the cell's output is its nodes side by side. Cells of a
kind, normal or reducing, are all alike and have their own weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import Any

from config_file.errors import UserError, choose, nearest
from config_file.readers.form import check_form
from supernet.blocks import Block, Conv, Head, Identity
from supernet.cell_blocks import FactorizedReduce
from supernet.cell_space import CellNode, CellSpace, Pick
from supernet.decisions import Decision
from supernet.partial import Partial
from supernet.sites import Site
from supernet.spaces.cell_operations import NONE, check_operation, option_of
from supernet.spaces.chain import MOST_LAYERS, MOST_WIDTH, SMALL_IMAGE
from supernet.spec import INPUT
from supernet.torch_blocks import Norm

KINDS = ("normal", "reduce")
INPUTS = ("0", "1")
"""What a cell reads: the cell before the last one, and the last one."""

MOST_NODES, MOST_COMBINATIONS = 12, 10**5


@dataclass(frozen=True)
class CellTable:
    """A cell space.

    Args:
        name: of the space.
        operations: of every edge, names in `OPERATIONS`.
        nodes: of a cell, where `edges` does not say; each then reads both inputs and every node before it.
        edges: per node what it may read: "0" and "1" are the cell before the last and the last one.
        keep: inputs that a node keeps, each with its operation; 0: all of them.
        repeat: an input can be kept several times, as in NASNet; each choice then has weights of its own.
        none: nothing stands among what a gradient-based search mixes on an edge, though never among what is chosen.
        concat, reduce_concat: the nodes that make the output; none: all of them, of reductions those of `concat`.
        loose: the output is made of what no node reads, be it a node or an input of the cell, each through a 1x1
            convolution, and is as wide as one node (ENAS, where that is a convolution of all of them side by side).
        width: channels of the first cells.
        cells: in all; those at one third and two thirds of them halve the resolution.
    """

    name: str
    operations: tuple[str, ...]
    nodes: int = 4
    edges: tuple[tuple[str, tuple[str, ...]], ...] = ()
    keep: int = 2
    repeat: bool = False
    none: bool = True
    concat: tuple[str, ...] = ()
    reduce_concat: tuple[str, ...] = ()
    loose: bool = False
    width: int = 16
    cells: int = 8

    # ---- as data

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as a YAML file would hold it."""
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        data["edges"] = {node: list(reads) for node, reads in self.edges}
        return {key: value for key, value in data.items() if value not in ([], {})}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> CellTable:
        """A table from a YAML file's content. Raises UserError naming the key that is wrong."""
        where = f"cell space {data.get('name', 'of your own')}"
        for key in data:
            if key not in _FORM and f"{key}?" not in _FORM:
                known = [name.rstrip("?") for name in _FORM]
                raise UserError(f"{where}: unknown key {key!r}{nearest(str(key), known)} (keys: {', '.join(known)})")
        check_form(dict(data), _FORM, where)
        edges = tuple((str(node), tuple(map(str, reads))) for node, reads in data.get("edges", {}).items())
        names = {key: tuple(map(str, data[key])) for key in ("operations", "concat", "reduce_concat") if key in data}
        return CellTable(**dict(data) | {"edges": edges} | names)

    # ---- the graph

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Per node, in an order in which they run, what it may read. Raises UserError where there is no such order."""
        if not self.edges:
            names = [*INPUTS, *(str(number) for number in range(len(INPUTS), len(INPUTS) + self.nodes))]
            return {name: tuple(names[:place]) for place, name in enumerate(names) if place >= len(INPUTS)}
        edges = dict(self.edges)
        for node, reads in edges.items():
            if node in INPUTS or not reads or len(set(reads)) < len(reads):
                raise UserError(f"node {node}: a node has a name of its own and reads different inputs, one at least")
            for read in reads:
                if read not in edges and read not in INPUTS:
                    raise UserError(f"node {node} reads {read!r}, which is no node{nearest(read, [*INPUTS, *edges])}")
        try:
            order = [*TopologicalSorter(edges).static_order()]
        except CycleError as error:
            raise UserError(f"the edges go in a circle: {' -> '.join(error.args[1])}") from None
        place = {name: position for position, name in enumerate([*INPUTS, *(n for n in order if n in edges)])}
        return {node: tuple(sorted(edges[node], key=place.__getitem__)) for node in place if node in edges}

    def outputs(self, kind: str) -> tuple[str, ...]:
        """The nodes that make a cell's output. Raises UserError where one is not there."""
        nodes = self.reads()
        named = self.reduce_concat if kind == "reduce" and self.reduce_concat else self.concat
        for name in named:
            choose("node of the output", name, nodes)
        return named or tuple(nodes)

    # ---- the space

    def build(
        self,
        resolution: int = 32,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        affine: bool | None = None,
        partial_channels: int | None = None,
    ) -> CellSpace:
        """The search space.

        Args:
            resolution, num_classes, in_channels: of the images; above 64 pixels two stems divide the sides by 8.
            widths: channels of the first cells; the published networks have 36 for CIFAR, 48 for ImageNet.
            depths: number of cells; 20 and 14.
            affine: batch norms of cells learn scale and shift, and none follows a pooling; none: they do.
            partial_channels: operations see the first of so many equal parts of the channels (PC-DARTS: 4); none: all.

        Raises:
            UserError: the table does not make sense.
        """
        for name, value in (("widths", widths), ("depths", depths)):
            if value is not None and len(value) != 1:
                what = "channels of the first cells" if name == "widths" else "cells"
                raise UserError(f"{self.name}: --{name} is one number, of {what}, not {len(value)}")
        (width,), (cells,) = widths or (self.width,), depths or (self.cells,)
        limits = {"width": (width, 1, MOST_WIDTH), "cells": (cells, 1, MOST_LAYERS)}
        limits |= {"nodes": (len(self.edges) or self.nodes, 1, MOST_NODES), "keep": (self.keep, 0, MOST_NODES)}
        for name, (number, least, most) in limits.items():
            if not least <= number <= most:
                raise UserError(f"{self.name}: {name} must be at least {least} and at most {most:,}, not {number}")
        if not self.operations or len(set(self.operations)) < len(self.operations):
            raise UserError(f"{self.name}: its operations are different ones, at least one")
        for operation in self.operations:
            check_operation(operation)
        parts = partial_channels or 1
        if width % parts:
            raise UserError(f"{self.name}: --partial-channels {parts} does not divide the {width} channels of a cell")
        decisions: list[Decision] = []
        kinds = {kind: self._kind(kind, decisions) for kind in KINDS}
        # 1. Stems: three times the channels at full resolution, or an eighth of it.
        if resolution <= SMALL_IMAGE:
            sites = [Site("stem", (Conv(3 * width, 3, act=""),), (INPUT,))]
            before, last = "stem", "stem"
        else:
            sites = [
                Site("stem", (Conv(max(1, width // 2), 3, 2, act="relu"),), (INPUT,)),
                Site("stem0", (Conv(width, 3, 2, act=""),), ("stem",)),
                Site("stem1", (Conv(width, 3, 2, act="relu", pre_activation=True),), ("stem0",)),
            ]
            before, last = "stem0", "stem1"
        # 2. Cells, each of which reads the two before it. The one before the last is larger where the last reduced.
        learns, larger = affine is not False, resolution > SMALL_IMAGE
        reductions = (cells // 3, 2 * cells // 3)
        for number in range(cells):
            kind = "reduce" if number in reductions else "normal"
            width *= 2 if kind == "reduce" else 1
            enters = FactorizedReduce(width, learns) if larger else _preprocessing(width, learns)
            sites += [
                Site(f"cell{number}/0", (enters,), (before,)),
                Site(f"cell{number}/1", (_preprocessing(width, learns),), (last,)),
                *self._cell(f"cell{number}", kinds[kind], decisions, learns, self.outputs(kind), width, parts),
            ]
            before, last, larger = last, f"cell{number}", kind == "reduce"
        sites.append(Site("head", (Head(num_classes),), (last,)))
        return CellSpace(
            self.name,
            tuple(decisions),
            tuple(sites),
            (in_channels, resolution, resolution),
            nodes=tuple(node for nodes in kinds.values() for node in nodes),
            outputs=tuple((kind, self.outputs(kind)) for kind in KINDS),
            loose=self.loose,
        )

    def _kind(self, kind: str, decisions: list[Decision]) -> list[CellNode]:
        """The nodes of a kind of cell; their decisions are appended."""
        nodes = []
        for name, reads in self.reads().items():
            picks = []
            for place in range(self.keep if self.repeat else 1):
                keep = 1 if self.repeat else min(self.keep or len(reads), len(reads))
                label = f"{kind}/{name}" + (chr(ord("a") + place) if self.repeat else "")
                picks.append(_pick(label, reads, keep, self.operations, decisions))
            nodes.append(CellNode(kind, name, tuple(picks)))
        return nodes

    def _cell(
        self,
        cell: str,
        nodes: Sequence[CellNode],
        decisions: Sequence[Decision],
        affine: bool,
        outputs: Sequence[str],
        width: int,
        parts: int,
    ) -> list[Site]:
        """The sites of a cell behind its preprocessing; the last one is its output."""
        sites = []
        for node in nodes:
            edges = []
            for pick in node.picks:
                for position, source in enumerate(pick.sources):
                    stride = 2 if node.kind == "reduce" and source in INPUTS else 1
                    names = [*self.operations, *[NONE] * (self.none and NONE not in self.operations)]
                    options = tuple(option_of(operation, stride, affine, parts) for operation in names)
                    sharing = "partial" if isinstance(options[0], Partial) else "own"
                    given, table = pick.table(position, decisions)
                    gate = pick.gates[position]
                    name = f"{cell}/{gate.removeprefix(node.kind + '/')}"
                    read = (f"{cell}/{source}",)
                    sites.append(Site(name, options, read, given=given, table=table, gate=gate, sharing=sharing))
                    edges.append(name)
            sites.append(Site(f"{cell}/{node.name}", (Identity(),), tuple(edges)))
        if self.loose:
            return [*sites, *_loose_ends(cell, nodes, outputs, width, affine)]
        return [*sites, Site(cell, (Identity(),), tuple(f"{cell}/{name}" for name in outputs), merge="concat")]


_FORM = {
    "name": str,
    "operations": [str],
    "nodes?": int,
    "edges?": {...: [(str, int)]},
    **dict.fromkeys(("keep?", "width?", "cells?"), int),
    **dict.fromkeys(("repeat?", "none?", "loose?"), bool),
    "concat?": [(str, int)],
    "reduce_concat?": [(str, int)],
}


def _loose_ends(
    cell: str,
    nodes: Sequence[CellNode],
    outputs: Sequence[str],
    width: int,
    affine: bool,
) -> list[Site]:
    """The sites that make a cell's output of the inputs and nodes that nothing reads; the last one is the output.

    Either passes, as it is, one site for each choice of a node that could read it, and does not pass one that does.
    """
    sites, ends = [], []
    for name in (*INPUTS, *outputs):
        last = f"{cell}/{name}"
        for node in nodes:
            for pick in node.picks:
                if name not in pick.sources:
                    continue
                position = pick.sources.index(name)
                given = () if pick.inputs is None else (pick.inputs,)
                table = tuple(None if position in kept else 0 for kept in pick.kept)
                reader, _, _ = pick.gates[position].partition("<-")
                gate = f"{reader} not of {name}"
                site = f"{cell}/{gate.removeprefix(node.kind + '/')}"
                sites.append(Site(site, (Identity(),), (last,), given=given, table=table, gate=gate))
                last = site
        ends.append(f"{cell}/out{name}")
        stride = 2 if nodes[0].kind == "reduce" and name in INPUTS else 1
        sites.append(Site(ends[-1], (Conv(width, 1, stride, act="relu", pre_activation=True, bn=False),), (last,)))
    return [*sites, Site(cell, (Norm(affine=affine),), tuple(ends))]


def _preprocessing(width: int, affine: bool) -> Block:
    return Conv(width, act="relu", pre_activation=True, affine=affine)


def _pick(label: str, reads: Sequence[str], keep: int, operations: Sequence[str], decisions: list[Decision]) -> Pick:
    """The choice of `keep` inputs and of an operation on each; its decisions are appended."""
    kept = tuple(combinations(range(len(reads)), keep))
    together = len(kept) * len(operations) ** keep if len(kept) > 1 else 1
    if together > MOST_COMBINATIONS:
        raise UserError(
            f"{label}: {keep} of {len(reads)} inputs with {len(operations)} operations each are {together:,} "
            f"combinations, more than {MOST_COMBINATIONS:,}: keep fewer, or all (keep: 0)"
        )
    inputs = None
    if len(kept) > 1:
        inputs = len(decisions)
        names = ["_".join(reads[place] for place in places) for places in kept]
        decisions.append(Decision(f"{label}/inputs", tuple(names if keep > 1 else [f"from_{name}" for name in names])))
    first = len(decisions)
    decisions += [Decision(f"{label}/op{number + 1}", tuple(operations)) for number in range(keep)]
    gates = tuple(f"{label}<-{source}" for source in reads)
    return Pick(tuple(reads), gates, inputs, kept, tuple(range(first, first + keep)))


DARTS_OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip

ENAS_OPERATIONS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")

ENAS_MICRO = CellTable("enas_micro", ENAS_OPERATIONS, nodes=5, repeat=True, none=False, loose=True, width=20, cells=8)
"""Pham et al. 2018, section 2.4: five nodes add up two operations each, on any two of what is before them."""

DARTS = CellTable("darts", DARTS_OPERATIONS)
"""Liu et al. 2019: four nodes keep two inputs each; 8 cells of 16 channels are searched, 20 of 36 trained."""

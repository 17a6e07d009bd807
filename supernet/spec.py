"""NetSpec: one network as data. Frozen, hashable, JSON both ways; decode, build, cost and export all read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import supernet.cell_blocks
import supernet.composites
import supernet.dense
import supernet.landmark_blocks
import supernet.partial
import supernet.torch_blocks  # noqa: F401  # these enter the kinds of blocks that a network as data may name
from supernet.blocks import Block, Shape

T = TypeVar("T", int, float)

INPUT = "input"
"""The site name that stands for the network's input."""

MERGES = ("sum", "concat", "product")
"""Ways in which several inputs become one: added, concatenated along channels, or multiplied, where a map of one pixel
or one channel scales the others."""


@dataclass(frozen=True)
class Node:
    """One block of a network: `site` addresses its weights; several `inputs` are merged, see `MERGES`."""

    site: str
    block: Block
    inputs: tuple[str, ...]
    merge: str = "sum"


@dataclass(frozen=True)
class NetSpec:
    """A network: its nodes in the order they run; the last one is the output."""

    nodes: tuple[Node, ...]

    def shapes(self, shape: Shape) -> dict[str, tuple[Shape, Shape]]:
        """Per site the (input, output) shapes for an image of `shape` (C, H, W)."""
        outputs = {INPUT: shape}
        result = {}
        for node in self.nodes:
            entering = merged_shape([outputs[name] for name in node.inputs], node.merge)
            outputs[node.site] = node.block.output_shape(entering)
            result[node.site] = entering, outputs[node.site]
        return result

    def total(self, count: Callable[[Block, Shape], T], shape: Shape) -> T | int:
        """The sum of what `count` says of each block and the shape of its input, for one image of `shape`."""
        shapes = self.shapes(shape).values()
        return sum(count(node.block, entering) for node, (entering, _) in zip(self.nodes, shapes, strict=True))

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates of convolution and linear layers for one image of `shape`."""
        return self.total(lambda block, entering: block.macs(entering), shape)

    def params(self, shape: Shape) -> int:
        """Learnable parameters (they do not depend on height and width)."""
        return self.total(lambda block, entering: block.params(entering), shape)

    def layers(self, shape: Shape) -> list[dict[str, Any]]:
        """One row per node: site, op, kind, input and output shape, MACs, params."""
        return [
            {
                "site": node.site,
                "op": node.block.label,
                "block": type(node.block).__name__,
                "input_shape": list(entering),
                "output_shape": list(leaving),
                "macs": node.block.macs(entering),
                "params": node.block.params(entering),
            }
            for node, (entering, leaving) in zip(self.nodes, self.shapes(shape).values(), strict=True)
        ]

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain data, one dictionary per node."""
        return [
            {"site": n.site, "block": n.block.to_dict(), "inputs": list(n.inputs), "merge": n.merge} for n in self.nodes
        ]

    def to_json(self) -> str:
        """The specification as one line of JSON."""
        return json.dumps(self.to_dict())

    @staticmethod
    def from_dict(rows: Any) -> NetSpec:
        """The network that `to_dict` described. Raises ValueError where the data is not a network."""
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise ValueError("a network is a non-empty list of nodes")
        nodes, known = [], {INPUT}
        for row in rows:
            if set(row) != {"site", "block", "inputs", "merge"}:
                raise ValueError(f"a node has site, block, inputs and merge, not {', '.join(map(str, row))}")
            if not isinstance(row["inputs"], list) or not all(isinstance(name, str) for name in row["inputs"]):
                raise ValueError(f"{row['site']}: its inputs must be a list of sites")
            node = Node(str(row["site"]), Block.from_dict(row["block"]), tuple(row["inputs"]), row["merge"])
            if node.merge not in MERGES:
                raise ValueError(f"{node.site}: unknown merge {node.merge!r} (choices: {', '.join(MERGES)})")
            if not node.inputs or not known.issuperset(node.inputs) or node.site in known:
                raise ValueError(f"{node.site}: its inputs must be earlier sites, and its name its own")
            known.add(node.site)
            nodes.append(node)
        return NetSpec(tuple(nodes))

    @staticmethod
    def from_json(text: str) -> NetSpec:
        """The network that `to_json` wrote. Raises ValueError where the text is not one."""
        return NetSpec.from_dict(json.loads(text))


def merged_shape(shapes: Sequence[Shape], merge: str) -> Shape:
    """Shape of several feature maps merged, see `MERGES`. Raises ValueError if they do not fit."""
    if merge == "concat":
        if len({shape[1:] for shape in shapes}) > 1:
            raise ValueError(f"cannot concatenate feature maps of different sizes: {list(shapes)}")
        return sum(shape[0] for shape in shapes), shapes[0][1], shapes[0][2]
    if merge == "product":
        sizes = [set(entries) - {1} or {1} for entries in zip(*shapes, strict=True)]
        if max(map(len, sizes)) > 1:
            raise ValueError(f"cannot multiply feature maps of shapes that do not fit: {list(shapes)}")
        ((channels,), (height,), (width,)) = sizes
        return channels, height, width
    if len(set(shapes)) > 1:
        raise ValueError(f"cannot add feature maps of different shapes: {list(shapes)}")
    return shapes[0]

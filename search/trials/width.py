"""Narrower networks: a fidelity that trains less of a network, and so faster."""

from dataclasses import replace
from math import lcm
from typing import Any

from supernet import Architecture, NetSpec

DIVISOR = 4
"""Widths are rounded to multiples of it: blocks halve them, and some quarter them."""


def narrower(space: Any, architecture: Architecture, factor: float) -> NetSpec:
    """The network of an architecture with the widths of its layers times a factor, its outputs as they were.

    A space that says its `widths`, such as NAS-Bench-101's, whose channels follow from the graph, is laid out with
    narrower ones.
    """
    if factor == 1:
        network: NetSpec = space.decode(architecture)
        return network
    if hasattr(space, "widths"):
        less = replace(space, widths=tuple(_rounded(width * factor) for width in space.widths))
        return narrower(less, architecture, 1)
    return scaled(space.decode(architecture), factor)


def scaled(spec: NetSpec, factor: float) -> NetSpec:
    """The network with narrower layers.

    Every block that says its `out_channels` gets as many times fewer; hidden widths follow from those, as blocks count
    them. Equal widths stay equal, so that what is added up still fits.
    """
    nodes = list(spec.nodes)
    for number, node in enumerate(nodes[:-1]):
        channels = getattr(node.block, "out_channels", None)
        if channels is not None:
            width: dict[str, Any] = {"out_channels": _rounded(channels * factor, getattr(node.block, "groups", 1))}
            nodes[number] = replace(node, block=replace(node.block, **width))
    return NetSpec(tuple(nodes))


def _rounded(width: float, groups: int = 1) -> int:
    divisor = lcm(DIVISOR, groups)
    return max(divisor, round(width / divisor) * divisor)

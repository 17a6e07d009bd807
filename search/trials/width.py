"""Narrower networks: a fidelity that trains less of a network, and so faster."""

from dataclasses import replace
from math import lcm
from typing import Any

from supernet import NetSpec

DIVISOR = 4
"""Widths are rounded to multiples of it: blocks halve them, and some quarter them."""


def scaled(spec: NetSpec, factor: float) -> NetSpec:
    """The network with the widths of its layers times a factor, its outputs as they were.

    Every block that says its `out_channels` gets as many times fewer; hidden widths follow from those, as blocks count
    them. Equal widths stay equal, so that what is added up still fits.
    """
    if factor == 1:
        return spec
    nodes = list(spec.nodes)
    for number, node in enumerate(nodes[:-1]):
        channels = getattr(node.block, "out_channels", None)
        if channels is not None:
            divisor = lcm(DIVISOR, getattr(node.block, "groups", 1))
            width = max(divisor, round(channels * factor / divisor) * divisor)
            narrower: dict[str, Any] = {"out_channels": width}
            nodes[number] = replace(node, block=replace(node.block, **narrower))
    return NetSpec(tuple(nodes))

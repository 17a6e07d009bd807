"""Channels that can only change together: those that a sum, a product or a depthwise convolution ties.

Every convolution and linear layer gives a group of channels of its own; what follows hands them on; a sum makes one
group of two (union-find). What reads a concatenation would have to leave out channels in its middle, so the groups in
it keep their width, and so do the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import NamedTuple

from supernet.blocks import Identity
from supernet.elastic.units import Unit
from supernet.spec import INPUT
from supernet.torch_blocks import Flat, Linear, PlainConv


class Piece(NamedTuple):
    """A group's channels in a tensor, each of them `repeat` times in a row (the pixels of a map that was flattened)."""

    group: int
    repeat: int = 1


Layout = tuple[Piece, ...]
"""The channels of a tensor, piece by piece."""


@dataclass
class Group:
    """Channels that change together.

    Args:
        width: how many there are.
        layers: paths of the layers that give them.
        multiple: the number of channels is one of it, as grouped convolutions need.
        fixed: why they cannot change; "" where they can.
    """

    width: int
    layers: list[str] = field(default_factory=list)
    multiple: int = 1
    fixed: str = ""


class Channels:
    """The groups of a network.

    Attributes:
        groups: by number; of tied groups one is left (`group`).
        layouts: per unit the layout of its output.
    """

    def __init__(self, units: Sequence[Unit], channels: int) -> None:
        self.groups: list[Group] = []
        self._tied: list[int] = []
        self.layouts: dict[str, Layout] = {INPUT: self._new(channels, fixed="the image")}
        for unit in units:
            self.layouts[unit.name] = self._output(unit)
        self._fix(self.layouts[units[-1].name], "the network's outputs")
        self.layouts = {
            name: tuple(Piece(self.group(piece.group), piece.repeat) for piece in layout)
            for name, layout in self.layouts.items()
        }

    def group(self, number: int) -> int:
        """The group that a group was tied to."""
        while self._tied[number] != number:
            number = self._tied[number]
        return number

    def _new(self, width: int, layers: Sequence[str] = (), fixed: str = "") -> Layout:
        self._tied.append(len(self.groups))
        self.groups.append(Group(width, [*layers], 1, fixed))
        return (Piece(len(self.groups) - 1),)

    def _fix(self, layout: Layout, why: str) -> None:
        for piece in layout:
            group = self.groups[self.group(piece.group)]
            group.fixed = group.fixed or why

    def _output(self, unit: Unit) -> Layout:
        layouts, first = [self.layouts[name] for name in unit.inputs], unit.first
        if isinstance(first, Identity):
            return self._merged(unit, layouts)
        (layout,) = layouts
        if isinstance(first, Linear) or (isinstance(first, PlainConv) and first.out_channels is not None):
            new = self._new(unit.shape[0], [unit.name])
            if isinstance(first, PlainConv) and first.groups > 1:
                self._fix((*layout, *new), f"{unit.name} has groups of unequal widths before and after")
            return new
        if isinstance(first, PlainConv):
            if len(layout) == 1 and layout[0].repeat == 1:
                group = self.groups[self.group(layout[0].group)]
                group.multiple = lcm(group.multiple, first.group_width)
            else:
                self._fix(layout, f"{unit.name} reads several groups")
        if isinstance(first, Flat):
            pixels = first.side[0] * first.side[1]
            return tuple(Piece(piece.group, piece.repeat * pixels) for piece in layout)
        return layout

    def _merged(self, unit: Unit, layouts: list[Layout]) -> Layout:
        if unit.merge == "concat":
            joined = tuple(piece for layout in layouts for piece in layout)
            self._fix(joined, f"{unit.name} concatenates them")
            return joined
        widths = [sum(self._width(piece) for piece in layout) for layout in layouts]
        tied = [layout for layout, width in zip(layouts, widths, strict=True) if width == max(widths)]
        for other in tied[1:]:
            self._tie(tied[0], other, unit.name)
        return tied[0]

    def _width(self, piece: Piece) -> int:
        return self.groups[self.group(piece.group)].width * piece.repeat

    def _tie(self, one: Layout, other: Layout, where: str) -> None:
        same = len(one) == len(other) and all(
            a.repeat == b.repeat and self._width(a) == self._width(b) for a, b in zip(one, other, strict=False)
        )
        if not same:
            self._fix((*one, *other), f"{where} merges them in other pieces")
            return
        for a, b in zip(one, other, strict=True):
            first, second = sorted((self.group(a.group), self.group(b.group)))
            if first != second:
                kept, gone = self.groups[first], self.groups[second]
                self._tied[second] = first
                kept.layers += gone.layers
                kept.multiple = lcm(kept.multiple, gone.multiple)
                kept.fixed = kept.fixed or gone.fixed

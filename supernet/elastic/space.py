"""The search space of a traced network: widths and depths as decisions, units as sites.

The largest architecture is the network itself. A width keeps the first channels of every layer that gives or reads
them, a depth the first blocks of a row; `sliced` weights serve all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

from torch import nn

from config_file.errors import UserError
from supernet.blocks import Block, Identity, make_divisible
from supernet.decisions import Decision
from supernet.elastic.channels import Channels, Group
from supernet.elastic.depth import Skippable, runs, skippable
from supernet.elastic.networks import Named, named
from supernet.elastic.rules import Rules
from supernet.elastic.trace import trace
from supernet.elastic.units import Unit, units_of
from supernet.sites import Site, tabulate
from supernet.space import SearchSpace
from supernet.spec import INPUT
from supernet.torch_blocks import Linear, PlainConv


@dataclass(frozen=True)
class Origin:
    """The network that an elastic space was made of: what its weights are sorted and filled in by.

    Attributes:
        network: its name, by which it can be built again.
        sites: per site the unit.
        channels: the groups and layouts.
        searchable: one row per decision: name, options, layers.
        kept: one row per group of layers that keep their width: layers, why.
    """

    network: Named
    sites: Mapping[str, Unit]
    channels: Channels
    searchable: tuple[dict[str, Any], ...]
    kept: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class ElasticSpace(SearchSpace):
    """A search space that was made of a network."""

    origin: Origin | None = None


def build_elastic(
    search_space: str, resolution: int, num_classes: int, in_channels: int, elastic: str | None = None
) -> ElasticSpace:
    """The space of a network that `supernet.elastic.networks.named` knows.

    Args:
        elastic: rules, see `supernet.elastic.rules`.

    Raises:
        UserError: no such network, one that cannot be traced, rules that match nothing, or nothing that can change.
    """
    which = named(search_space)
    network = which.build(num_classes, in_channels, resolution, storage=False)
    return elastic_space(which, network, (in_channels, resolution, resolution), num_classes, elastic)


def elastic_space(
    which: Named, network: nn.Module, image: tuple[int, int, int], num_classes: int, elastic: str | None = None
) -> ElasticSpace:
    """As `build_elastic`, of a network that is there."""
    units = units_of(trace(network, image))
    outputs = units[-1].shape[0]
    if outputs != num_classes:
        raise UserError(f"it gives {outputs} outputs, but there are {num_classes} classes")
    channels = Channels(units, image[0])
    blocks = skippable(units)
    names = {name for name, _ in network.named_modules() if name}
    rules = Rules(elastic, _open(channels), [block.path for block in blocks], names)
    made = _Decisions(units, channels, rules, [block for block in blocks if rules.depth(block.path)])
    if not made.decisions:
        raise UserError(f"nothing of it can change; kept: {_kept_in_words(made.kept)}")
    origin = Origin(which, made.units, channels, tuple(made.searchable), tuple(made.kept))
    return ElasticSpace(which.text, tuple(made.decisions), tuple(made.sites), image, origin=origin)


def _open(channels: Channels) -> list[str]:
    return [path for group in channels.groups if not group.fixed for path in group.layers]


def _kept_in_words(kept: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{row['layers'][0]} ({row['why']})" for row in kept[:3]) or "no layers"


class _Decisions:
    """The decisions and the sites."""

    def __init__(self, units: Sequence[Unit], channels: Channels, rules: Rules, blocks: Sequence[Skippable]) -> None:
        self.channels, self.rules = channels, rules
        self.decisions: list[Decision] = []
        self.searchable: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []
        self.widths = {number: self._widths(group) for number, group in enumerate(channels.groups)}
        self.width_of: dict[int, int] = {}  # per group its decision
        self.depths = self._depths_of(blocks)
        self.depth_of: dict[int, int] = {}  # per row of blocks its decision
        self.names = _site_names([unit.name for unit in units])
        self.units = {self.names[unit.name]: unit for unit in units}
        self.sites = [self._site(unit) for unit in units]

    def _widths(self, group: Group) -> tuple[int, ...]:
        """The widths of a group, rising to its own."""
        if not group.layers:
            return (group.width,)
        shares = set.intersection(*(set(self.rules.shares(path)) | {1.0} for path in group.layers))
        # Multiples of 8, as papers and kernels have them; of less where a network is narrow.
        unit = lcm(8 if group.width >= 64 else 4 if group.width >= 32 else 2, group.multiple)
        widths = {make_divisible(group.width * share, unit) for share in shares}
        return (*sorted(width for width in widths if not group.fixed and width < group.width), group.width)

    def _depths_of(self, blocks: Sequence[Skippable]) -> dict[str, list[tuple[int, int, Skippable]]]:
        """Per unit the blocks that it is left out with, or whose shortcut it adds: row, place in it, block."""
        self.rows = runs(blocks)
        found: dict[str, list[tuple[int, int, Skippable]]] = {}
        for number, row in enumerate(self.rows):
            for place, block in enumerate(row):
                for name in (*block.inside, *([block.merge] if block.is_spare else [])):
                    found.setdefault(name, []).append((number, place, block))
        return found

    def _site(self, unit: Unit) -> Site:
        # 1. Decisions, as they are first met.
        outer = self.depths.get(unit.name, [])
        for row, *_ in outer:
            if row not in self.depth_of:
                self.depth_of[row] = self._decide(
                    f"{self.rows[row][0].path}/depth",
                    [str(depth) for depth in range(len(self.rows[row]) + 1)],
                    [block.path for block in self.rows[row]],
                )
        options, width = [unit.block()], None
        first = unit.first
        if isinstance(first, Linear) or (isinstance(first, PlainConv) and first.out_channels is not None):
            group = self.channels.layouts[unit.name][0].group
            width = self._width_decision(group)
            options = [unit.block(_with_width(first, number)) for number in self.widths[group]]
        # 2. What stands there, given those.
        absent = len(options)
        if any(block.merge == unit.name for _, _, block in outer):
            options.append(Identity())  # of a sum with its activation, where the block is left out
        given = dict.fromkeys([*([] if width is None else [width]), *(self.depth_of[row] for row, *_ in outer)])

        def standing(*choices: int) -> int | None:
            chosen = dict(zip(given, choices, strict=True))
            for row, place, block in outer:
                if chosen[self.depth_of[row]] <= place:
                    return absent if block.merge == unit.name else None
            return 0 if width is None else chosen[width]

        table = tabulate([len(self.decisions[decision].options) for decision in given], standing)
        reads = [piece for name in unit.inputs for piece in self.channels.layouts[name]]
        sliced = len(options) > 1 or any(len(self.widths[piece.group]) > 1 for piece in reads)
        inputs = tuple(name if name == INPUT else self.names[name] for name in unit.inputs)
        sharing = "sliced" if sliced and unit.parts else "own"
        return Site(self.names[unit.name], tuple(options), inputs, unit.merge, tuple(given), table, sharing=sharing)

    def _width_decision(self, number: int) -> int | None:
        group, widths = self.channels.groups[number], self.widths[number]
        if len(widths) == 1:
            if number not in self.width_of:
                self.width_of[number] = -1
                self.kept.append({"layers": [*group.layers], "why": group.fixed or self.rules.why_kept(group.layers)})
            return None
        if number not in self.width_of:
            self.width_of[number] = self._decide(f"{group.layers[0]}/width", [*map(str, widths)], group.layers)
        return self.width_of[number]

    def _decide(self, name: str, options: Sequence[str], layers: Sequence[str]) -> int:
        self.decisions.append(Decision(name, tuple(options)))
        self.searchable.append({"decision": name, "options": [*options], "layers": [*layers]})
        return len(self.decisions) - 1


def _with_width(block: PlainConv | Linear, width: int) -> Block:
    return replace(block, out_features=width) if isinstance(block, Linear) else replace(block, out_channels=width)


def _site_names(paths: Sequence[str]) -> dict[str, str]:
    """Names of sites: paths with slashes; they become names of modules, where a slash and an underscore are one."""
    taken: set[str] = {INPUT}
    names = {}
    for path in paths:
        name = path.replace(".", "/")
        while name.replace("/", "_") in taken or hasattr(nn.ModuleDict, name):
            name += "_"
        taken.add(name.replace("/", "_"))
        names[path] = name
    return names

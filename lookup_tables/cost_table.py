"""CostTable: the cost of every block of a space, and from that of every architecture.

Cost is a sum over the blocks that stand in the network, so it is a sum of factors, each over the decisions that change
one (block, input shape). Sums, extremes and expectations are exact and computed on the factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.readers.numbers import number_in
from lookup_tables.distribution import CostDistribution
from lookup_tables.packed_lookup import PackedLookup
from lookup_tables.table_file import Entry, entry_key, read_table, write_table
from supernet import Architecture, Block, NetworkSpace, SearchSpace, Shape
from supernet.elimination import Factor, Scope, align, optimum
from supernet.metrics import METRICS, Metric
from supernet.space import with_sites

ABOUT = (
    *("counted", "counter", "counter_version", "device", "engine", "threads", "date"),
    *("scale", "offset", "self_check"),
)
"""Fields of a table that its file holds under the same name."""

Key = tuple[Block, Shape]
"""A block and the (C, H, W) that enters it."""

_Terms = tuple[torch.Tensor, list[int], torch.Tensor, list[tuple[Scope, torch.Tensor]]]
"""The factors as float64 tensors of one device: constant, over one decision each (which, and values), over several."""


@dataclass(frozen=True, eq=False)
class CostTable:
    """The cost of every architecture of one space at one resolution.

    Args:
        space: the search space it answers for.
        metric: what its values are, whatever its title.
        resolution: height and width of the image, in pixels.
        entries: one for every (block, input shape) that the space can meet; others are ignored.
        counted: what the values count, in words.
        counter: of the values: a name in `lookup_tables.counters.COUNTERS`, or an engine's.
        counter_version: its version.
        device, engine, threads, date: what it was measured on, and when; None where it was counted.
        scale, offset: a network costs offset + scale * the sum of its blocks' values.
        self_check: how well the table predicts measured networks it was not made from, where that was tried.
        title: what to call it where several tables hold the same metric.

    Raises:
        UserError: no entry for a block of the space.
    """

    space: NetworkSpace
    metric: Metric
    resolution: int
    entries: Mapping[Key, Entry]
    counted: str = ""
    counter: str = "analytic"
    counter_version: str = ""
    device: str | None = None
    engine: str | None = None
    threads: int | None = None
    date: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    self_check: Mapping[str, Any] | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        for block, shape in distinct_blocks(with_sites(self.space), self.resolution):
            if (block, shape) not in self.entries:
                raise UserError(f"the lookup table has no entry for {_named(block, shape)} of {self.space.name}")

    @property
    def name(self) -> str:
        """Its title, or its metric where it has none."""
        return self.title or self.metric.name

    @cached_property
    def factors(self) -> list[Factor]:
        """The cost as a sum of float64 tables, one per set of decisions; scope () is what all architectures share."""
        merged: dict[Scope, NDArray[np.float64]] = {(): np.array(float(self.offset))} if self.offset else {}
        space, shape = with_sites(self.space), input_shape(self.space, self.resolution)
        for scope, costs in space.priced(lambda *key: self.scale * self.entries[key].value, shape):
            key = tuple(sorted(scope))
            table = align(scope, costs, key)
            merged[key] = merged[key] + table if key in merged else table
        return list(merged.items())

    # ---- queries

    def cost(self, architectures: NDArray[np.integer] | Sequence[Architecture]) -> NDArray[np.float64]:
        """(N, D) option indices -> (N,) costs in raw units, exact for whole-numbered entries.

        Arrays of any integer type and layout; 8-bit and column-major ones are the fastest.

        Raises:
            UserError: another shape, or an index that is no option of its decision.
        """
        return self._lookup(np.asarray(architectures))

    def minimum(self) -> tuple[float, Architecture]:
        """The exact minimum over the space, and an architecture that has it."""
        return self._extremes[0]

    def maximum(self) -> tuple[float, Architecture]:
        """The exact maximum over the space, and an architecture that has it."""
        return self._extremes[1]

    def expected(self, probabilities: Sequence[torch.Tensor]) -> torch.Tensor:
        """The expected cost when decisions are drawn independently; differentiable.

        Args:
            probabilities: per decision a vector (options,) on any device. One-hot vectors give exactly the cost.

        Returns:
            A float64 scalar: float32 cannot hold counts of MACs.

        Raises:
            UserError: not one vector of the right length per decision.
        """
        sizes = self.space.sizes
        if len(probabilities) != len(sizes):
            raise UserError(f"{self.space.name} has {len(sizes)} decisions, not {len(probabilities)} probabilities")
        for about, vector in zip(self.space.decisions, probabilities, strict=True):
            if vector.shape != (len(about.options),):
                shape = "x".join(map(str, vector.shape)) or "a single number"
                raise UserError(f"probabilities of {about.name}: {len(about.options)} numbers, not {shape}")
        total, alone, values, joint = self._terms(probabilities[0].device if probabilities else torch.device("cpu"))
        if alone:  # one product for all decisions that stand alone: in a chain, for everything
            vector = torch.cat([probabilities[decision] for decision in alone])
            total = total + vector.to(torch.float64) @ values
        for scope, table in joint:
            for decision in reversed(scope):
                table = table @ probabilities[decision].to(torch.float64)
            total = total + table
        return total

    @cached_property
    def distribution(self) -> CostDistribution:
        """Counts of architectures by cost, and uniform draws from a cost band.

        Raises:
            UserError: so many decisions depend on each other that the counts do not fit into memory.
        """
        return CostDistribution(self.space.sizes, self.factors, self.cost)

    @cached_property
    def _lookup(self) -> PackedLookup:
        return PackedLookup(self.space.decisions, self.factors)

    @cached_property
    def _extremes(self) -> tuple[tuple[float, Architecture], tuple[float, Architecture]]:
        best = [optimum(self.space.sizes, self.factors, largest)[1] for largest in (False, True)]
        # Costed like any other architecture, so that a measured minimum is attainable to the last bit.
        low, high = self.cost(np.array(best, dtype=np.int64).reshape(2, -1))
        return (float(low), best[0]), (float(high), best[1])

    @cached_property
    def _terms_on(self) -> dict[torch.device, _Terms]:
        return {}

    def _terms(self, device: torch.device) -> _Terms:
        if device not in self._terms_on:
            with torch.inference_mode(False):  # kept tensors: whoever asks next may want gradients
                tensors = [(scope, torch.as_tensor(table, device=device)) for scope, table in self.factors]
                nothing = torch.zeros(1, dtype=torch.float64, device=device)
                base = sum((table for scope, table in tensors if not scope), nothing[0])
                alone = [(scope[0], table) for scope, table in tensors if len(scope) == 1]
                values = torch.cat([nothing[:0], *(table for _, table in alone)])
                joint = [(scope, table) for scope, table in tensors if len(scope) > 1]
                self._terms_on[device] = base, [decision for decision, _ in alone], values, joint
        return self._terms_on[device]

    # ---- file

    @property
    def header(self) -> dict[str, Any]:
        """Everything about the table but its entries, as JSON."""
        return {
            "metric": self.metric.name,
            "unit": self.metric.unit,
            **{name: getattr(self, name) for name in ABOUT},
            "resolution": self.resolution,
            "in_channels": self.space.input_shape[0],
            "search_space": self.space.name,
            "space_options": self.space.describe(),
            "macro_fingerprint": self.space.macro_fingerprint,
        }

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, atomically.

        Raises:
            OSError: the folder is missing, unwritable or full.
        """
        rows = []
        for block, shape in distinct_blocks(with_sites(self.space), self.resolution):
            entry = self.entries[block, shape]
            rows.append({"block": block.to_dict(), "input_shape": list(shape)} | vars(entry))
        write_table(path, self.header, rows)

    @staticmethod
    def load(
        path: str | Path, space: SearchSpace, resolution: int | None = None, metric: str | None = None
    ) -> "CostTable":
        """Read a table for a space.

        Args:
            resolution: what it will be used at; default the space's own.
            metric: what it must hold, if that matters.

        Raises:
            UserError: not a table, damaged, or one for another space, resolution, metric or unit.
        """
        header, stored = read_table(path)
        if resolution is None:
            resolution = space.input_shape[1]
        _check_header(path, header, space, resolution, metric)
        entries = {}
        for block, shape in distinct_blocks(space, resolution):
            key = entry_key(block.to_dict(), shape)
            if key not in stored:
                raise UserError(f"lookup table {path} has no entry for {_named(block, shape)} of {space.name}")
            entries[block, shape] = stored[key]
        known = {name: header[name] for name in ABOUT if name in header}
        return CostTable(space, METRICS[header["metric"]], resolution, entries, **known)


def _check_header(
    path: str | Path, header: Mapping[str, Any], space: SearchSpace, resolution: int, metric: str | None
) -> None:
    if header.get("macro_fingerprint") != space.macro_fingerprint:
        raise UserError(
            f"lookup table {path} is for {header.get('search_space')} ({header.get('macro_fingerprint')}), "
            f"not for this {space.name} ({space.macro_fingerprint}): another space, or other widths, depths, strides, "
            "skip, classes or input channels"
        )
    if header.get("resolution") != resolution:
        raise UserError(f"lookup table {path} is for {header.get('resolution')} pixels, not for {resolution}")
    found = str(header.get("metric"))
    if metric is not None and found != metric:
        raise UserError(f"lookup table {path} holds {found}, not {metric}")
    unit = choose(f"metric in lookup table {path}:", found, METRICS).unit
    if header.get("unit") != unit:
        raise UserError(f"lookup table {path}: {found} must be in {unit}, not in {header.get('unit')}")
    number_in(header.get("scale", 1.0), f"lookup table {path}: scale", above=0)
    number_in(header.get("offset", 0.0), f"lookup table {path}: offset")


def input_shape(space: NetworkSpace, resolution: int) -> Shape:
    """(C, H, W) of an image for a space at a resolution."""
    return space.input_shape[0], resolution, resolution


def distinct_blocks(space: SearchSpace, resolution: int) -> list[Key]:
    """Every (block, input shape) that an architecture of the space can meet, once, in the order of the network."""
    placed = space.placed(input_shape(space, resolution))
    return list(dict.fromkeys(key for _, _, entries in placed for key in entries if key is not None))


def _named(block: Block, shape: Shape) -> str:
    return f"{block.label} at {'x'.join(map(str, shape))}"

"""NAS-Bench-201 (Dong and Yang 2020): one cell of six edges, repeated. Others have trained each of its networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from config_file.errors import UserError
from supernet.blocks import BatchNormAct, Block, Conv, Head, Identity, Pool, Zero
from supernet.cell_space import CellNode, CellSpace, Pick
from supernet.decisions import Architecture, Decision
from supernet.sites import Site
from supernet.spec import INPUT

NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NASBENCH201_EDGES = [(source, target) for target in (1, 2, 3) for source in range(target)]

WIDTHS, DEPTHS = (16, 32, 64), (5, 5, 5)


@dataclass(frozen=True, eq=False)
class NASBench201(CellSpace):
    """The space, in which 15,625 cells are 6,040 different networks."""

    has_equals: ClassVar[bool] = True

    def first_equal(self, architecture: Architecture) -> Architecture:
        return _first_equals(self.decisions[0].options)[tuple(architecture)]


@lru_cache(maxsize=4)
def _first_equals(ops: tuple[str, ...]) -> dict[Architecture, Architecture]:
    """Per cell the first that is the same network. Cells are all alike, so one of one channel tells."""
    one = nasbench201(widths=(1,), depths=(1,), ops=ops)
    first: dict[Hashable, Architecture] = {}
    return {cell: first.setdefault(one.network_key(cell), cell) for cell in one.enumerate()}


def nasbench201(
    resolution: int = 32,
    num_classes: int = 10,
    in_channels: int = 3,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    affine: bool | None = None,
    ops: Sequence[str] = NASBENCH201_OPS,
) -> NASBench201:
    """The space: in every cell the same choices and own weights; between stages a residual block halves the resolution.

    Edges and operations are in the order in which the benchmark's authors write a cell.

    Args:
        resolution, num_classes, in_channels: of the images.
        widths: channels of each stage; the published ones are 16, 32, 64.
        depths: cells of each stage; the published ones are 5, 5, 5.
        affine: batch norms of the edges learn scale and shift; none: they do, as in the benchmark's networks.
        ops: the operations of an edge.

    Raises:
        UserError: not as many widths as depths.
    """
    widths = WIDTHS if widths is None else widths
    depths = DEPTHS[: len(widths)] if depths is None else depths
    if len(widths) != len(depths):
        raise UserError(
            f"nasbench201: one width and one depth per stage, not {len(widths)} widths and {len(depths)} depths"
        )
    decisions = tuple(Decision(f"{target}<-{source}", tuple(ops)) for source, target in NASBENCH201_EDGES)
    sites = [Site("stem", (Conv(widths[0], 3, act=""),), (INPUT,))]
    last = "stem"
    for stage, (width, cells) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            last = _reduction(f"reduction{stage}", width, last, sites)
        blocks: dict[str, Block] = {
            "none": Zero(),
            "skip_connect": Identity(),
            "nor_conv_1x1": Conv(width, 1, act="relu", pre_activation=True, affine=affine is not False),
            "nor_conv_3x3": Conv(width, 3, act="relu", pre_activation=True, affine=affine is not False),
            "avg_pool_3x3": Pool("avg"),
        }
        options = tuple(blocks[op] for op in ops)
        for cell in range(cells):
            nodes = [last, *(f"cell{stage}{cell}/{node}" for node in (1, 2, 3))]
            for target in (1, 2, 3):
                edges = []
                for source in range(target):
                    decision = NASBENCH201_EDGES.index((source, target))
                    gate = decisions[decision].name
                    edges.append(f"cell{stage}{cell}/{gate}")
                    table = tuple(range(len(ops)))
                    sites.append(Site(edges[-1], options, (nodes[source],), given=(decision,), table=table, gate=gate))
                sites.append(Site(nodes[target], (Identity(),), tuple(edges)))
            last = nodes[3]
    sites += [Site("norm", (BatchNormAct(),), (last,)), Site("head", (Head(num_classes),), ("norm",))]
    graph = tuple(
        CellNode("normal", str(target), (_all_of(range(target), target, [d.name for d in decisions]),))
        for target in (1, 2, 3)
    )
    image = in_channels, resolution, resolution
    return NASBench201("nasbench201", decisions, tuple(sites), image, nodes=graph, outputs=(("normal", ("3",)),))


def _all_of(sources: Sequence[int], target: int, names: Sequence[str]) -> Pick:
    """The edges into a node, which keeps all of them."""
    gates = tuple(f"{target}<-{source}" for source in sources)
    places = tuple(range(len(gates)))
    return Pick(tuple(map(str, sources)), gates, None, (places,), tuple(map(names.index, gates)))


def _reduction(name: str, width: int, last: str, sites: list[Site]) -> str:
    """The residual block that halves the resolution between stages."""
    sites += [
        Site(f"{name}/a", (Conv(width, 3, 2, act="relu", pre_activation=True),), (last,)),
        Site(f"{name}/b", (Conv(width, 3, act="relu", pre_activation=True),), (f"{name}/a",)),
        Site(f"{name}/pool", (Pool("mean2x2"),), (last,)),
        Site(f"{name}/short", (Conv(width, act="", bn=False),), (f"{name}/pool",)),
        Site(name, (Identity(),), (f"{name}/b", f"{name}/short")),
    ]
    return name
